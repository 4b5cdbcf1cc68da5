"""Fits the grader `learned` on GPT-4.1's verdicts, and says how far it, `match` and containment agree with them.

    python -m benchmarks.fit_grader --verdicts gpt41_verdicts.jsonl --passages train.json val.json

Cross-validation is grouped: no question, whatever its case and punctuation, is on both sides. The passages say
which words are common. Writes selfedit/data/graders/learned.json and benchmarks/results/grader.json.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.boosting import Boosting, Floats, grow, regress
from selfedit.graders.agreement import compare
from selfedit.graders.features import features
from selfedit.graders.fitted import Model
from selfedit.graders.learned import WEIGHTS
from selfedit.graders.match import MatchGrader
from selfedit.graders.words import STOP_WORDS, stem, with_digits, words
from selfedit.text.matching import answer_in_passage, normalise
from selfedit.types import Probe

RESULTS = Path("benchmarks/results/grader.json")
FOLDS = 5
COMMON_WORDS = 2500
TREES = Boosting()
FORESTS = 2
RIDGE = 30.0
SHARE = 0.4
"""Of the regression in the log-odds; the rest is the trees'."""


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The verdicts: `question`, `answer`, `prediction`, `correct`."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def word_rarity(paths: Sequence[Path]) -> dict[str, float]:
    """How rare the most common stems of SQuAD files' passages are: 0 in every passage, 1 in eight or fewer."""
    seen: Counter[str] = Counter()
    passages = 0
    for path in paths:
        for text in _contexts(json.loads(path.read_text(encoding="utf-8"))):
            passages += 1
            seen.update({stem(w) for w in with_digits(words(text)) if w.isalpha() and w not in STOP_WORDS})
    scale = math.log(max(2, passages) / 8)
    common = sorted(seen.items(), key=lambda item: (-item[1], item[0]))[:COMMON_WORDS]
    return {word: round(min(1.0, math.log(passages / count) / scale), 2) for word, count in common}


def _contexts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("context"), str):
            yield value["context"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _contexts(item)


def groups(rows: Sequence[dict[str, Any]]) -> NDArray[np.int64]:
    """A number for each row, the same for the same question, [N]."""
    keys = [normalise(row["question"]) for row in rows]
    number = {key: index for index, key in enumerate(sorted(set(keys)))}
    return np.array([number[key] for key in keys])


def folds(group_N: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The fold that each row is held out in, [N]; a question is in one fold only."""
    count = int(group_N.max()) + 1
    fold_G = np.empty(count, dtype=np.int64)
    fold_G[np.random.default_rng(seed).permutation(count)] = np.arange(count) % FOLDS
    return np.asarray(fold_G[group_N])


def fit(x_NF: Floats, y_N: Floats, names: Sequence[str], rarity: dict[str, float], shift: float = 0.0) -> Model:
    """A model on these rows."""
    return Model(weights(x_NF, y_N, names, rarity, shift))


def weights(
    x_NF: Floats, y_N: Floats, names: Sequence[str], rarity: dict[str, float], shift: float = 0.0
) -> dict[str, Any]:
    """A fitted model as JSON values. Several forests, each with its own seed, are one with smaller leaves."""
    grown = [grow(x_NF, y_N, TREES, seed) for seed in range(FORESTS)]
    trees = [tree for forest in grown for tree in forest["trees"]]
    means_F, scales_F = x_NF.mean(0), x_NF.std(0) + 1e-6
    linear_F, bias = regress(np.clip((x_NF - means_F) / scales_F, -5, 5), y_N, RIDGE)
    return {
        "features": list(names),
        "rarity": rarity,
        "means": _rounded(means_F),
        "scales": [float(f"{value:.5g}") for value in scales_F],
        "linear": _rounded(linear_F),
        "bias": round(bias, 5),
        "share": SHARE,
        "shift": round(shift, 4),
        "base": round(grown[0]["base"], 5),
        "nodes": [tree["features"] for tree in trees],
        "cuts": [_rounded(np.array(tree["cuts"])) for tree in trees],
        "leaves": [_rounded(np.array(tree["leaves"]) / FORESTS) for tree in trees],
    }


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), 5) for value in values]


def held_out(
    x_NF: Floats, y_N: Floats, fold_N: NDArray[np.int64], names: Sequence[str], only: Sequence[int] = range(FOLDS)
) -> Floats:
    """The log-odds of each row by a model that has not seen its fold, [N]; NaN in folds not in `only`."""
    odds_N = np.full(len(y_N), np.nan)
    for fold in only:
        out_N = fold_N == fold
        odds_N[out_N] = fit(x_NF[~out_N], y_N[~out_N], names, {}).log_odds(x_NF[out_N])
    return odds_N


def unbiased_shift(odds_N: Floats, y_N: Floats) -> float:
    """The log-odds above which just as many answers lie as are right."""
    return float(np.quantile(odds_N, 1 - y_N.mean()))


def cross_validate(x_NF: Floats, y_N: Floats, group_N: NDArray[np.int64], names: Sequence[str], seeds: int) -> Floats:
    """Held-out log-odds under several groupings, [S, N]."""
    return np.stack([held_out(x_NF, y_N, folds(group_N, seed), names) for seed in range(seeds)])


def figures(odds_SN: Floats, y_N: Floats) -> dict[str, Any]:
    """Mean and standard deviation of agreement, kappa and bias; each split's threshold comes from the others."""
    found = []
    for split, odds_N in enumerate(odds_SN):
        others = np.delete(odds_SN, split, 0) if len(odds_SN) > 1 else odds_SN
        shift = float(np.mean([unbiased_shift(other, y_N) for other in others]))
        found.append(compare((odds_N > shift).tolist(), (y_N > 0.5).tolist()))
    parts = {key: [getattr(one, key) for one in found] for key in ("agreement", "kappa", "bias")}
    return {
        key: {"mean": round(float(np.mean(v)), 4), "sd": round(float(np.std(v)), 4)} for key, v in parts.items()
    } | {"confusion": found[0].confusion}


def _plain(graded: Sequence[bool], y_N: Floats) -> dict[str, Any]:
    one = compare(graded, (y_N > 0.5).tolist())
    return {key: round(getattr(one, key), 4) for key in ("agreement", "kappa", "bias")} | {"confusion": one.confusion}


def worst(rows: Sequence[dict[str, Any]], odds_SN: Floats, y_N: Floats, count: int = 10) -> list[dict[str, Any]]:
    """The held-out disagreements the model was surest of, one a question."""
    odds_N = odds_SN.mean(0)
    odds_N = odds_N - unbiased_shift(odds_N, y_N)
    found: dict[str, dict[str, Any]] = {}
    for index in np.argsort(-np.abs(odds_N), kind="stable"):
        row = rows[index]
        if (odds_N[index] > 0) != row["correct"]:
            found.setdefault(normalise(row["question"]), row | {"probability": round(_chance(odds_N[index]), 4)})
    return list(found.values())[:count]


def _chance(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verdicts", type=Path, required=True)
    parser.add_argument("--passages", type=Path, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, default=4, help="groupings to cross-validate under")
    given = parser.parse_args()
    rows = read_rows(given.verdicts)
    rarity = word_rarity(given.passages)
    found = [features(row["question"], row["answer"], row["prediction"], rarity) for row in rows]
    names = list(found[0])
    x_NF = np.array([[float(one[name]) for name in names] for one in found])
    y_N = np.array([float(row["correct"]) for row in rows])
    odds_SN = cross_validate(x_NF, y_N, groups(rows), names, given.seeds)
    shift = float(np.mean([unbiased_shift(odds_N, y_N) for odds_N in odds_SN]))
    WEIGHTS.write_text(json.dumps(weights(x_NF, y_N, names, rarity, shift), separators=(",", ":")) + "\n")
    contained = [answer_in_passage(row["answer"], row["prediction"]) for row in rows]
    match = MatchGrader()
    matched = [match.grade(Probe("", r["question"], (r["answer"],)), r["prediction"]).correct for r in rows]
    results = {
        "rows": len(rows),
        "questions": int(groups(rows).max()) + 1,
        "folds": FOLDS,
        "splits": given.seeds,
        "containment": _plain(contained, y_N),
        "match": _plain(matched, y_N),
        "learned": figures(odds_SN, y_N),
        "worst": worst(rows, odds_SN, y_N),
    }
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps({key: results[key] for key in ("containment", "match", "learned")}, indent=2))
    print(f"{WEIGHTS}: {WEIGHTS.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
