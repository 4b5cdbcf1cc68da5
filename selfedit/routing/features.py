"""What the fitted router looks at: how a question and a route match, by what their words say."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from selfedit.routing.base import Route
from selfedit.routing.bm25 import Index, best
from selfedit.routing.terms import Words, background, terms

_SENTENCE_END = re.compile(r"(?<=[.!?\u2026])\s+|\n|(?<=[\u3002\uff01\uff1f])")

Floats = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)
SHORTLIST = 10
"""How many routes are looked at closely: those with the best BM25 scores."""

FIT = (
    "score",
    "any_share",
    "local_share",
    "text_share",
    "title_share",
    "asked_share",
    "sentence_share",
    "local_sentence",
    "pair_share",
    "names_share",
    "rarest_shared",
    "second_shared",
    "shared",
)
"""How a question fits one route."""

PLACE = (
    *FIT,
    "log_score",
    "log_routes",
    "terms",
    "information",
    "has_questions",
    "names",
    "missing",
    "rarest_missing",
    "names_missing",
    "unseen",
    "unseen_share",
    "rarest_unseen",
    "name_shared",
    "margin",
)
"""And where that leaves the question: what the best route lacks of it, what all routes lack, how far the second is."""


@dataclass(frozen=True)
class Asked:
    """A question's terms with what each says, in nats, times how much it counts; in the order of the question.

    Attributes:
        weights: by term. What is said in earlier turns counts less than what is said now.
        names: the terms among them written like a name or a code.
    """

    weights: Mapping[str, float]
    names: frozenset[str]
    pairs: frozenset[tuple[str, str]]

    @property
    def information(self) -> float:
        return sum(self.weights.values())


def asked(turns: Sequence[tuple[Words, float]]) -> Asked:
    """A question as it stands in a conversation: its turns, each with how much it counts. The most counts."""
    information = background().information
    weights: dict[str, float] = {}
    for turn, counts in turns:
        for term in turn.terms:
            weights[term] = max(weights.get(term, 0.0), counts * information(term))
    return Asked(
        {term: weight for term, weight in weights.items() if weight > 0},
        frozenset(term for turn, _ in turns for term in turn.names if weights[term] > 0),
        frozenset(pair for turn, _ in turns for pair in pairwise(turn.terms)),
    )


@dataclass(frozen=True)
class _Fields:
    """A route's terms."""

    title: frozenset[str]
    text: frozenset[str]
    sentences: tuple[frozenset[str], ...]
    questions: tuple[frozenset[str], ...]
    pairs: frozenset[tuple[str, str]]

    @property
    def all(self) -> frozenset[str]:
        return self.title.union(self.text, *self.questions)


class Matcher:
    """Routes, prepared for being compared with questions."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        documents = [
            [*terms(route.title), *terms(route.text), *(term for q in route.questions for term in terms(q))]
            for route in routes
        ]
        self._index = Index(documents)
        self._holders = Counter(term for document in documents for term in set(document))
        self._fields = lru_cache(maxsize=2048)(self._read)

    def shortlist(self, question: Asked, among: Sequence[int] | None = None) -> tuple[list[int], Floats]:
        """The routes worth a closer look, best first, and their scores; of those in `among`, all if None."""
        most = max(question.weights.values(), default=1.0)
        scores_R = np.zeros(len(self.routes))
        for term, weight in question.weights.items():
            scores_R += self._index.scores([term]) * (weight / most)
        if among is not None:
            kept_R = np.zeros(len(self.routes))
            kept_R[list(among)] = scores_R[list(among)]
            scores_R = kept_R
        found = best(scores_R, SHORTLIST)
        return found, scores_R[found]

    def fits(self, question: Asked, found: Sequence[int], scores_C: Floats) -> Floats:
        """How the question fits each of the C routes found, [C, len(FIT)]."""
        local = {term: math.log1p(len(self.routes) / (0.5 + self._holders[term])) for term in question.weights}
        rows = [self._fit(question, self._fields(r), local) for r in found]
        relative_C = scores_C / scores_C.max(initial=1e-9)
        return np.array([[score, *row] for score, row in zip(relative_C, rows, strict=True)]).reshape(-1, len(FIT))

    def place(self, question: Asked, route: int, fit_F: Floats, score: float, margin: float) -> Floats:
        """What there is to say of the best route, [len(PLACE)].

        Args:
            fit_F: its row of `fits`.
            score: its score by BM25.
            margin: by how much it is ahead of the second.
        """
        weights = question.weights
        fields = self._fields(route)
        missing = [weight for term, weight in weights.items() if term not in fields.all]
        unseen = [weight for term, weight in weights.items() if term not in self._holders]
        names_missing = [weights[term] for term in sorted(question.names) if term not in fields.all]
        values = (
            math.log1p(score),
            math.log(len(self.routes)),
            math.log1p(len(weights)),
            question.information / 10,
            float(bool(fields.questions)),
            float(bool(question.names)),
            sum(missing) / 10,
            max(missing, default=0.0),
            sum(names_missing) / 10,
            sum(unseen) / 10,
            sum(unseen) / max(question.information, 1e-9),
            max(unseen, default=0.0),
            float(any(term in fields.all for term in question.names)),
            margin,
        )
        return np.array([*fit_F, *values])

    def has(self, route: int, term: str) -> bool:
        """Whether a route has a term, anywhere."""
        return term in self._fields(route).all

    def _fit(self, question: Asked, fields: _Fields, local: Mapping[str, float]) -> tuple[float, ...]:
        weights = question.weights
        everything = fields.all
        shared = sorted((weight for term, weight in weights.items() if term in everything), reverse=True)
        pairs = {pair: weights.get(pair[0], 0.0) + weights.get(pair[1], 0.0) for pair in sorted(question.pairs)}
        by_local = {term: weight * local[term] for term, weight in weights.items()}
        return (
            _share(weights, everything),
            _share(by_local, everything),
            _share(weights, fields.text),
            _share(weights, fields.title),
            max((_alike(weights, one) for one in fields.questions), default=0.0),
            max((_share(weights, one) for one in fields.sentences), default=0.0),
            max((_share(by_local, one) for one in fields.sentences), default=0.0),
            _share(pairs, fields.pairs),
            _share({term: weights[term] for term in sorted(question.names)}, everything),
            shared[0] if shared else 0.0,
            shared[1] if len(shared) > 1 else 0.0,
            sum(shared) / 10,
        )

    def _read(self, route: int) -> _Fields:
        one = self.routes[route]
        texts = [terms(text) for text in (one.title, one.text, *one.questions)]
        sentences = [frozenset(terms(sentence)) for sentence in _SENTENCE_END.split(one.text)]
        pairs = frozenset(pair for found in texts for pair in pairwise(found))
        title, text, *questions = map(frozenset, texts)
        return _Fields(title, text, tuple(filter(None, sentences)), tuple(questions), pairs)


def _share(weights: Mapping[Key, float], held: frozenset[Key]) -> float:
    """How much of the weight is held; 0 if there is none."""
    total = sum(weights.values())
    return sum(weight for key, weight in weights.items() if key in held) / total if total else 0.0


def _alike(weights: Mapping[str, float], other: frozenset[str]) -> float:
    """How alike two questions are, from 0 to 1: what they share of what both say."""
    information = background().information
    shared = sum(weight for term, weight in weights.items() if term in other)
    both = sum(weights.values()) + sum(information(term) for term in sorted(other) if term not in weights)
    return shared / both if both else 0.0
