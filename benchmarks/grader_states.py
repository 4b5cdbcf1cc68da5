"""Would a language model's own states make the grader `learned` better? A linear probe on SmolLM2-135M.

    python -m benchmarks.grader_states --verdicts gpt41_verdicts.jsonl --passages train.json val.json

The model reads question, gold answer and prediction, in both orders; the probe is a ridge regression on what three of
its middle layers hold at the last token and, on average, over the text that comes last. Prints how far `learned`, the
probe and both together agree with GPT-4.1, and on how many answers the two err alike, though they share no feature.
About 15 minutes on two CPU cores; `--states FILE` keeps the states. Writes benchmarks/results/grader_states.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from benchmarks.boosting import Floats
from benchmarks.fit_grader import FOLDS, folds, groups, held_out, read_rows, unbiased_shift, word_rarity
from selfedit.graders.agreement import compare
from selfedit.graders.features import features
from selfedit.graders.tokens import main_part
from selfedit.models import DEFAULT_MODEL
from selfedit.models.load import BaseModel, load

RESULTS = Path("benchmarks/results/grader_states.json")
LAYERS = (14, 18, 22)
MAX_TOKENS = 48
"""Of an answer."""
RIDGE = 1.0
WEIGHT = 2.0
"""Of the probe beside the log-odds of `learned`. Between 1 and 4 the agreement moves by 0.3 points."""
BATCH = 24


def prompts(base: BaseModel, row: dict[str, Any]) -> list[tuple[list[int], int, int]]:
    """Tokens of both orders, and where the text that comes last begins and ends."""

    def tokens(text: str) -> list[int]:
        found: list[int] = base.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    question = tokens(f"Question: {row['question'].strip()}\n")
    said = main_part(row["question"], row["prediction"])[:400].strip() or "none"
    gold, answer = (tokens(f" {text}")[:MAX_TOKENS] for text in (row["answer"].strip(), said))
    first = [*question, *tokens("Correct answer:"), *gold, *tokens("\nStudent answer:")]
    second = [*question, *tokens("Student answer:"), *answer, *tokens("\nCorrect answer:")]
    asked = tokens("\nThe student answer is")
    return [
        ([*first, *answer, *asked], len(first), len(first) + len(answer)),
        ([*second, *gold], len(second), len(second) + len(gold)),
    ]


@torch.inference_mode()
def states(base: BaseModel, rows: Sequence[dict[str, Any]]) -> NDArray[np.float16]:
    """What the layers hold of each row, [N, orders x (last, mean) x layers, H]."""
    jobs = [(index, order, *one) for index, row in enumerate(rows) for order, one in enumerate(prompts(base, row))]
    jobs.sort(key=lambda job: len(job[2]))
    found = np.zeros((len(rows), 4 * len(LAYERS), base.model.config.hidden_size), np.float16)
    for start in track(range(0, len(jobs), BATCH), "Reading answers"):
        batch = jobs[start : start + BATCH]
        longest = max(len(job[2]) for job in batch)
        ids_BT = torch.tensor([[*job[2], *[0] * (longest - len(job[2]))] for job in batch])
        mask_BT = torch.tensor([[position < len(job[2]) for position in range(longest)] for job in batch]).long()
        hidden = base.model.model(ids_BT, attention_mask=mask_BT, output_hidden_states=True, use_cache=False)
        for place, (index, order, ids, begin, end) in enumerate(batch):
            own_LTH = torch.stack([hidden.hidden_states[layer][place, : len(ids)] for layer in LAYERS])
            parts = torch.cat([own_LTH[:, -1], own_LTH[:, begin:end].mean(1)])
            found[index, order * len(parts) : (order + 1) * len(parts)] = parts.half().numpy()
    return found


def kernel(states_NPH: NDArray[np.float16]) -> Floats:
    """Inner products of standardised states, the mean over places and units, [N, N]."""
    flat = states_NPH.reshape(len(states_NPH), -1).astype(np.float32)
    flat = (flat - flat.mean(0)) / (flat.std(0) + 1e-6)
    return np.asarray(flat @ flat.T / flat.shape[1], dtype=np.float64)


def probe(kernel_NN: Floats, y_N: Floats, fold_N: NDArray[np.int64]) -> Floats:
    """Held-out values of a ridge regression, [N]."""
    found_N = np.zeros(len(y_N))
    for fold in range(FOLDS):
        out_N = fold_N == fold
        target = 2 * y_N[~out_N] - 1
        inside = kernel_NN[np.ix_(~out_N, ~out_N)] + RIDGE * np.eye(int((~out_N).sum()))
        weights = np.linalg.solve(inside, target - target.mean())
        found_N[out_N] = kernel_NN[np.ix_(out_N, ~out_N)] @ weights + target.mean()
    return found_N


def agreement(odds_N: Floats, y_N: Floats) -> dict[str, float]:
    """With the threshold above which as many answers lie as are right."""
    one = compare((odds_N > unbiased_shift(odds_N, y_N)).tolist(), (y_N > 0.5).tolist())
    return {"agreement": round(one.agreement, 4), "kappa": round(one.kappa, 4)}


def errors(odds_N: Floats, y_N: Floats) -> NDArray[np.bool_]:
    """Which answers are called wrongly, [N]."""
    return np.asarray((odds_N > unbiased_shift(odds_N, y_N)) != (y_N > 0.5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verdicts", type=Path, required=True)
    parser.add_argument("--passages", type=Path, nargs="+", required=True)
    parser.add_argument("--states", type=Path, help="an .npy file: read if it is there, else written")
    parser.add_argument("--seeds", type=int, default=2, help="groupings to cross-validate under")
    given = parser.parse_args()
    rows = read_rows(given.verdicts)
    if given.states is not None and given.states.exists():
        read = np.load(given.states, allow_pickle=False)
    else:
        read = states(load(DEFAULT_MODEL, device="cpu", dtype="float32"), rows)
        if given.states is not None:
            np.save(given.states, read)
    rarity = word_rarity(given.passages)
    named = [features(row["question"], row["answer"], row["prediction"], rarity) for row in rows]
    names = list(named[0])
    x_NF = np.array([[float(one[name]) for name in names] for one in named])
    y_N = np.array([float(row["correct"]) for row in rows])
    kernel_NN, group_N = kernel(read), groups(rows)
    found = []
    for seed in range(given.seeds):
        fold_N = folds(group_N, seed)
        learned_N, probe_N = held_out(x_NF, y_N, fold_N, names), probe(kernel_NN, y_N, fold_N)
        wrong = errors(learned_N, y_N), errors(probe_N, y_N)
        found.append(
            {
                "learned": agreement(learned_N, y_N),
                "probe": agreement(probe_N, y_N),
                "both": agreement(learned_N + WEIGHT * probe_N, y_N),
                "both_wrong": round(float((wrong[0] & wrong[1]).mean()), 4),
                "agree_with_each_other": round(float((wrong[0] == wrong[1]).mean()), 4),
            }
        )
        print(json.dumps(found[-1]))
    results = {"rows": len(rows), "model": DEFAULT_MODEL, "layers": LAYERS, "folds": FOLDS, "groupings": found}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
