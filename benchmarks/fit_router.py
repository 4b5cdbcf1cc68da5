"""Fits the router `fitted` on SQuAD's questions, and the table of common English words that it reads.

    python -m benchmarks.fit_router --squad ../shared/data/squad

Routes are drawn as they come about: some of each of a few articles' passages, 2 to 1,000 of them, half of the time with
half of each passage's questions. Asked are other questions about them (positives), about the same articles' other
passages ('near'), about other articles ('other'), the positives with names of another article ('renamed'), and about
the world ('general': the even lines of the general set).
Half of the articles of SQuAD's dev set are held out; `benchmarks/router.py` measures on those. The table is from
the package wordfreq, which nothing else needs: pip install wordfreq.
Writes selfedit/data/routing/words.txt and fitted.json.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.boosting import Floats, regress
from benchmarks.router_draws import Articles, Draw, draws, in_parts, read_general, split_articles
from selfedit.routing import Query
from selfedit.routing.bm25 import Bm25Router
from selfedit.routing.features import FIT, PLACE, asked
from selfedit.routing.fitted import WEIGHTS, FittedRouter, Weights
from selfedit.routing.terms import TABLE, background, terms, words

DRAWS = 240
ASKED = 24  # Questions of each kind a draw.
WORDS, TERMS = 60_000, 14_000  # Of English, the most frequent; and the most frequent stems of those.
PASSAGES, PASSAGE_WORDS = 100_000, 120
COMMON_IN_QUESTIONS = 60
KEPT = 0.99  # Of general questions, with the base.
RIDGE = 5.0
COUNTS = {"right": 1.0, "wrong": 0.3, "near": 0.3, "other": 1.0, "renamed": 0.6, "general": 3.0}
"""How much a question counts in the fit: an adapter's answer to a general one is damage, to a near one hardly."""


def word_table(articles: Articles) -> str:
    """`words.txt`, from wordfreq's frequencies of English words.

    A word that is so and so frequent is in a passage of 120 words with the chance that it is one of 120 draws. Terms
    that are more common in the articles' questions than in passages, such as 'which', count as in those.
    """
    wordfreq: Any = importlib.import_module("wordfreq")
    frequency: Counter[str] = Counter()
    for word in itertools.islice(wordfreq.iter_wordlist("en", wordlist="large"), WORDS):
        stems = terms(word)
        if len(stems) == 1:
            frequency[stems[0]] += wordfreq.word_frequency(word, "en", wordlist="large")
    counts = {term: PASSAGES * (1 - math.exp(-PASSAGE_WORDS * share)) for term, share in frequency.most_common(TERMS)}
    questions = [set(terms(question)) for items in articles.values() for item in items for question in item.questions]
    in_questions = Counter(term for one in questions for term in one)
    for term, count in in_questions.most_common(COMMON_IN_QUESTIONS):
        counts[term] = max(counts.get(term, 0.0), PASSAGES * count / len(questions))
    by_count: dict[int, list[str]] = defaultdict(list)
    for term, value in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        by_count[round(value)].append(term)
    return "\n".join([str(PASSAGES), *(" ".join([str(count), *group]) for count, group in by_count.items()), ""])


def fit_rank(drawn: Sequence[Draw]) -> Floats:
    """What each of `FIT` is worth for the order of routes, [FIT]: right routes against the wrong ones beside them."""
    rows, places = [], []
    for one in drawn:
        router = FittedRouter(one.routes, _blank())
        for question, right in one.questions["right"]:
            query = asked([(words(question), 1.0)])
            found, scores_C = router.matcher.shortlist(query)
            ids = [one.routes[r].id for r in found]
            if right in ids and len(ids) > 1:
                fits_CF = router.matcher.fits(query, found, scores_C)
                at = ids.index(right)
                wrong_CF = np.delete(fits_CF, at, 0)
                rows.append(fits_CF[at] - wrong_CF)
                places.append(np.full(len(wrong_CF), 1 / len(wrong_CF)))
    x_NF = np.concatenate(rows)
    scales_F = x_NF.std(0) + 1e-6
    both_NF = np.concatenate([x_NF, -x_NF]) / scales_F
    weights_F, _ = regress(both_NF, np.repeat([1.0, 0.0], len(x_NF)), RIDGE)
    return np.asarray(weights_F / scales_F)


def _blank() -> Weights:
    """Weights that order routes by BM25 and accept anything."""
    zeros_P = np.zeros(len(PLACE))
    return Weights(np.eye(len(FIT))[0], zeros_P, zeros_P + 1, zeros_P, 0.0, 0.0)


def places(drawn: Sequence[Draw], rank_F: Floats) -> tuple[Floats, list[str]]:
    """What there is to say of each question's best route, [N, PLACE], and the question's kind; 'wrong' if it is not
    the right route.
    """
    blank = _blank()
    weights = Weights(rank_F, blank.means_P, blank.scales_P, blank.accept_P, 0.0, 0.0)
    rows, kinds = [], []
    for one in drawn:
        router = FittedRouter(one.routes, weights)
        for kind, questions in one.questions.items():
            for question, right in questions:
                found = router.find(asked([(words(question), 1.0)]))
                if found is None:
                    continue
                rows.append(found.place_P)
                kinds.append("wrong" if right and one.routes[found.routes[0]].id != right else kind)
    return np.array(rows), kinds


def fit_accept(place_NP: Floats, kinds: Sequence[str]) -> tuple[Floats, float]:
    """Means, scales and weights of `PLACE`, [PLACE, 3], and the bias."""
    means_P, scales_P = place_NP.mean(0), place_NP.std(0) + 1e-6
    x_NP = np.clip((place_NP - means_P) / scales_P, -5, 5)
    y_N = np.array([float(kind in ("right", "wrong")) for kind in kinds])
    # `regress` knows no weights: rows are repeated instead, tenfold for a weight of 1.
    times_N = np.array([round(10 * COUNTS[kind]) for kind in kinds])
    weights_P, bias = regress(np.repeat(x_NP, times_N, 0), np.repeat(y_N, times_N), RIDGE * 10)
    return np.stack([means_P, scales_P, weights_P], 1), bias


def threshold(odds_G: Floats, asked_in_all: int) -> float:
    """The log-odds that keep general questions with the base; those not among [G] share no word with any route."""
    return float(np.quantile(np.concatenate([odds_G, np.full(asked_in_all - len(odds_G), -99.0)]), KEPT))


def bm25_least(drawn: Sequence[Draw]) -> float:
    """The score that keeps as many general questions from the router `bm25`: what its constant should be."""
    best = [
        router.choose([Query(question)])[0].ranked[:1]
        for one in drawn
        for router in [Bm25Router(one.routes)]
        for question, _ in one.questions["general"]
    ]
    return float(np.quantile([ranked[0][1] if ranked else 0.0 for ranked in best], KEPT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, default=Path("../shared/data/squad"))
    given = parser.parse_args()
    fit, _ = split_articles(given.squad)
    TABLE.write_text(word_table(fit), encoding="utf-8")
    background.cache_clear()
    drawn = list(draws([fit, in_parts(fit, given.squad, 64)], read_general(even=True), DRAWS, ASKED))
    rank_F = fit_rank(drawn)
    place_NP, kinds = places(drawn, rank_F)
    accept_P3, bias = fit_accept(place_NP, kinds)
    values: dict[str, Any] = {
        "rank": {name: _short(value) for name, value in zip(FIT, rank_F, strict=True)},
        "accept": {name: [_short(v) for v in row] for name, row in zip(PLACE, accept_P3, strict=True)},
        "bias": _short(bias),
        "threshold": 0.0,
    }
    model = Weights.of(values)
    odds_N = np.array([model.log_odds(place_P) for place_P in place_NP])
    least = threshold(odds_N[np.array(kinds) == "general"], ASKED * len(drawn))
    values["threshold"] = _short(1 / (1 + math.exp(-least)))
    WEIGHTS.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    for kind in sorted(set(kinds)):
        of_kind_N = np.array(kinds) == kind
        print(f"{kind}: {of_kind_N.sum()}, to a route {(odds_N[of_kind_N] >= least).mean():.3f}")
    print(f"bm25 keeps as many general questions with the base at {bm25_least(drawn):.1f}")
    print(f"{TABLE}: {TABLE.stat().st_size / 1e3:.0f} kB; threshold {values['threshold']}")


def _short(value: float) -> float:
    return float(f"{value:.5g}")


if __name__ == "__main__":
    main()
