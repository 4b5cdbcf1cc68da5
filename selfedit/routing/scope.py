"""Which question a correction answers: its own, in much the same words, and no other about the same things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from selfedit.routing.base import Query, Route
from selfedit.routing.features import Asked, asked
from selfedit.routing.fitted import refers
from selfedit.routing.terms import Words, background, terms, words

SAME, SURE = 0.2, 0.4
"""How alike two questions are at least that may be one, and from which on they surely are. Of other questions about the
same documents 7 of 336 and none are so alike on benchmarks/data/held_out, 6 of 448 and none on benchmarks/data/unseen;
of other wordings of the same question 20 of 42 and 9, 12 of 64 and 2 (benchmarks/scope.py)."""

_SUBJECT = 0.5
"""How much of what it says of its subject the other has to say, too."""


@dataclass(frozen=True)
class _Worded:
    """A question of a route: what it says of the route's title, and what else."""

    subject: frozenset[str]
    rest: frozenset[str]
    subject_information: float
    rest_information: float


class Scopes:
    """Routes that answer what they were asked and nothing else. A router knows passages; it would send them more.

    Args:
        routes: each with the wordings of its question.
        taught: questions that other routes were learnt with. One asked word for word goes there.
    """

    def __init__(self, routes: Sequence[Route], taught: Sequence[str] = ()) -> None:
        self._routes = [(route, frozenset(terms(route.title)), _worded(route)) for route in routes]
        self._taught = {tuple(terms(question)) for question in taught} if routes else set()

    def choose(self, query: Query) -> tuple[str, bool] | None:
        """The route whose question this may be, and whether it surely is; None if it is of none."""
        topic = query.topic.strip()
        now = words(f"{topic}: {query.text}" if topic else query.text)
        if not self._routes or refers(now):  # What "it" is, was another thing when that was corrected.
            return None
        question = asked([(now, 1.0)])
        scored = [(_alike(now, question, title, worded), route.id) for route, title, worded in self._routes]
        score, id = max(scored, key=lambda pair: pair[0])
        if score < SAME or (score < 1 and tuple(terms(query.text)) in self._taught):
            return None
        return id, score >= SURE


def _worded(route: Route) -> list[_Worded]:
    information, title = background().information, frozenset(terms(route.title))
    made = []
    for question in route.questions:
        said = frozenset(terms(question))
        rest = frozenset(term for term in said - title if information(term) > 0)
        subject = said & title
        sums = (sum(map(information, sorted(part))) for part in (subject, rest))
        made.append(_Worded(subject, rest, *sums))
    return made


def _alike(now: Words, question: Asked, title: frozenset[str], worded: Sequence[_Worded]) -> float:
    """How alike a question and the most alike of some wordings are, from 0 to 1, what the title says aside."""
    information = background().information
    rest = {term: weight for term, weight in question.weights.items() if term not in title}
    best = 0.0
    for each in worded:
        held = sum(map(information, sorted(each.subject.intersection(now.terms))))
        if held < _SUBJECT * each.subject_information or not question.names <= title | each.rest:
            continue
        if rest and rest.keys() == each.rest:
            return 1.0  # As it comes out only up to rounding.
        shared = sum(weight for term, weight in rest.items() if term in each.rest)
        both = sum(rest.values()) + each.rest_information - shared
        best = max(best, shared / both if both else 0.0)
    return best
