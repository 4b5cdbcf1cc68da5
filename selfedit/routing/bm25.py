"""The yardstick: plain BM25 with a fixed least score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from bm25s import BM25
from numpy.typing import NDArray

from selfedit.routing.base import Choice, Query, Route, Router
from selfedit.routing.terms import terms

Scores = NDArray[np.float64]
RANKED = 5
"""How many routes a choice tells of."""

_LEAST = 6.1  # Keeps 99% of general questions with the base, says benchmarks/fit_router.py.


class Index:
    """BM25 scores of R documents, given as terms; no document and no term are no error."""

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        self._count = len(documents)
        self._known = {term for document in documents for term in document}
        self._bm25 = BM25() if self._known else None
        if self._bm25 is not None:
            self._bm25.index([list(document) for document in documents], show_progress=False)

    def scores(self, query: Sequence[str]) -> Scores:
        """The score of each document, [R]; 0 where it has none of the terms."""
        found = [term for term in query if term in self._known]
        if self._bm25 is None or not found:
            return np.zeros(self._count)
        return np.asarray(self._bm25.get_scores(found), dtype=np.float64)


class Bm25Router(Router):
    """The route whose title, text and questions score best, if they score at least a fixed score.

    Knows nothing of topics and history. A fixed score cannot be right for 8 routes and for 1,000 of them, nor for
    short and long questions: that is what `fitted` is held against.
    """

    name = "bm25"

    def __init__(self, routes: Sequence[Route]) -> None:
        self._ids = [route.id for route in routes]
        self._index = Index([terms(document(route)) for route in routes])

    def choose(self, queries: Sequence[Query]) -> list[Choice]:
        return [self._choose(query) for query in queries]

    def _choose(self, query: Query) -> Choice:
        scores_R = self._index.scores(terms(query.text))
        ranked = tuple((self._ids[r], float(scores_R[r])) for r in best(scores_R, RANKED))
        if not ranked:
            return Choice(None, 0.0, ())
        first, score = ranked[0]
        return Choice(first if score >= _LEAST else None, 1 / (1 + math.exp(min(50.0, _LEAST - score))), ranked)


def document(route: Route) -> str:
    """All that is known of a route, as one text."""
    return "\n".join((route.title, route.text, *route.questions))


def best(scores_R: Scores, count: int) -> list[int]:
    """The routes with the best scores above 0, at most `count`; of equals the first."""
    order = np.argsort(-scores_R, kind="stable")[:count]
    return [int(r) for r in order if scores_R[r] > 0]
