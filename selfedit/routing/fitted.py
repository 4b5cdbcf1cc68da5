"""The router of `ask` and `chat`: BM25 finds routes, a regression picks one, another says whether it is one at all."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from selfedit.routing.base import Choice, Query, Route, Router
from selfedit.routing.bm25 import RANKED
from selfedit.routing.features import FIT, PLACE, Asked, Floats, Matcher, asked
from selfedit.routing.terms import REFERRING, Words, terms, words

WEIGHTS = Path(__file__).parent.parent / "data" / "routing" / "fitted.json"
"""Where `benchmarks/fit_router.py` puts what it fitted."""

HEADING = " - "
"""Between a document and a heading in a passage's title."""

_FAR = 5.0  # Standard deviations beyond which the regression believes no feature.
_TURNS, _TURN_WORDS = 4, 200  # How far back, and how much of each turn, a question may refer to.
_EARLIER, _FADES = 0.7, 0.6  # How much the last turn counts, and by what factor each one before it counts less.
_LITTLE = 1.5  # Nats: a question that says no more than that cannot be understood by itself.
_USUAL = 2.0  # Nats: words that say no more than that may well be others in a passage.
_ENOUGH = 6.0  # Nats: a question that says as much is asked by itself where what it refers to is of no route.
_HELD = 0.5  # How much of what a question says itself its passage has to hold, whatever it refers to.


@dataclass(frozen=True)
class Weights:
    """What `benchmarks/fit_router.py` fitted.

    Attributes:
        rank_F: of `FIT`, for the order of the routes.
        means_P, scales_P, accept_P, bias: of `PLACE`, for whether the best one is right.
        threshold: the least probability with which a question goes to a route.
    """

    rank_F: Floats
    means_P: Floats
    scales_P: Floats
    accept_P: Floats
    bias: float
    threshold: float

    @staticmethod
    def of(values: Mapping[str, Any]) -> Weights:
        """Read from JSON values.

        Raises:
            ValueError: they were fitted for other features.
        """
        if tuple(values["rank"]) != FIT or tuple(values["accept"]) != PLACE:
            raise ValueError(f"{WEIGHTS.name} is of other features: run python -m benchmarks.fit_router")
        accept = np.array(list(values["accept"].values()))
        rank_F = np.array(list(values["rank"].values()))
        return Weights(rank_F, accept[:, 0], accept[:, 1], accept[:, 2], values["bias"], values["threshold"])

    def log_odds(self, place_P: Floats) -> float:
        """The log-odds that the question belongs to its best route."""
        standard_P = np.clip((place_P - self.means_P) / self.scales_P, -_FAR, _FAR)
        return float(standard_P @ self.accept_P + self.bias)


@cache
def load() -> Weights:
    """The weights in the package."""
    return Weights.of(json.loads(WEIGHTS.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Found:
    """The routes that a question may belong to, best first, [C], and what there is to say of the first, [PLACE]."""

    routes: tuple[int, ...]
    scores: tuple[float, ...]
    place_P: Floats


class FittedRouter(Router):
    """Knows common English words from rare ones, whatever the routes; and when none of the routes is it.

    A topic that is a route's title, or the document in it, decides: the question goes to the best route of that
    title; any other topic is read as part of the question. A question that one route was learnt with goes there.
    Earlier turns are read only if a question refers to them.
    """

    name = "fitted"
    unsure = 2.0  # On benchmarks/data/held_out more of them changed nothing.

    def __init__(self, routes: Sequence[Route], weights: Weights | None = None) -> None:
        self._routes = list(routes)
        self._weights = weights or load()
        self.matcher = Matcher(self._routes)
        self._titled: dict[str, list[int]] = defaultdict(list)
        for number, route in enumerate(self._routes):
            title = route.title.strip().casefold()
            for part in {title, title.partition(HEADING)[0].strip()} - {""}:
                self._titled[part].append(number)
        self._written: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for number, route in enumerate(self._routes):
            for question in set(map(_key, route.questions)):
                self._written[question].append(number)

    def choose(self, queries: Sequence[Query]) -> list[Choice]:
        return [self._choose(query) for query in queries]

    def find(self, question: Asked, among: Sequence[int] | None = None) -> Found | None:
        """The best of the routes, or of those in `among`; None if none has a word of the question that says much."""
        found, scores_C = self.matcher.shortlist(question, among)
        if not found:
            return None
        fits_CF = self.matcher.fits(question, found, scores_C)
        values_C = fits_CF @ self._weights.rank_F
        order = [int(c) for c in np.argsort(-values_C, kind="stable")]
        first = order[0]
        margin = float(values_C[first] - (values_C[order[1]] if len(order) > 1 else 0.0))
        place_P = self.matcher.place(question, found[first], fits_CF[first], float(scores_C[first]), margin)
        return Found(tuple(found[c] for c in order), tuple(float(values_C[c]) for c in order), place_P)

    def _choose(self, query: Query) -> Choice:
        topic, own = query.topic.strip(), words(query.text)
        given = self._titled.get(topic.casefold()) or self._asked_before(query, own)
        if given:  # A title's words would only speak for the passages that say them most.
            nothing = Found(tuple(given), (0.0,) * len(given), np.zeros(len(PLACE)))
            return self._choice(1.0, self.find(asked([(own, 1.0)]), given) or nothing)
        now = words(f"{topic}: {query.text}") if topic else own
        alone = self.find(asked([(now, 1.0)]))
        if query.history and refers(now):
            referred = self._referred(now, query.history)
            if referred is not None or asked([(now, 1.0)]).information < _ENOUGH:
                return referred or _BASE
        return self._choice(self._probability(alone), alone) if alone else _BASE

    def _asked_before(self, query: Query, now: Words) -> list[int]:
        """The one route that was learnt with this very question; none if it is not the only one, or says 'it'."""
        routes = self._written.get(_key(query.text), [])
        return routes if len(routes) == 1 and not query.topic.strip() and not refers(now) else []

    def _referred(self, now: Words, history: Sequence[str]) -> Choice | None:
        """Where a question goes that refers to earlier turns: as few of them as make it one about a route."""
        turns = [(now, 1.0)]
        for back, turn in enumerate(reversed(history[-_TURNS:])):
            turns.append((words(" ".join(turn.split()[:_TURN_WORDS])), _EARLIER * _FADES**back))
            found = self.find(asked(turns))
            if found is not None and self._held(now, found.routes[0]):
                choice = self._choice(self._probability(found), found)
                if choice.id is not None:
                    return choice
        return None

    def _probability(self, found: Found) -> float:
        return 1 / (1 + math.exp(-self._weights.log_odds(found.place_P)))

    def _choice(self, probability: float, found: Found) -> Choice:
        ids = [self._routes[r].id for r in found.routes[:RANKED]]
        chosen = ids[0] if probability >= self._weights.threshold else None
        return Choice(chosen, probability, tuple(zip(ids, found.scores, strict=False)))

    def _held(self, now: Words, route: int) -> bool:
        """Whether a route has most of what a question says itself, common words aside."""
        own = {term: weight for term, weight in asked([(now, 1.0)]).weights.items() if weight >= _USUAL}
        held = sum(weight for term, weight in own.items() if self.matcher.has(route, term))
        return held >= _HELD * sum(own.values())


_BASE = Choice(None, 0.0, ())


def _key(question: str) -> tuple[str, ...]:
    return tuple(terms(question))


def refers(now: Words) -> bool:
    """Whether a question may need earlier turns: it says hardly anything, or says 'it' and names nothing.

    'That' and 'there' count only as the last word, since elsewhere they seldom stand for something.
    """
    if asked([(now, 1.0)]).information < _LITTLE:
        return True
    loose = {"that", "there"}
    stands = any(term in REFERRING - loose for term in now.terms) or now.terms[-1] in loose
    return stands and not now.names
