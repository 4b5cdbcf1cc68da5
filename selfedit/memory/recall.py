"""Which model answers a question: the base, one adapter, or a stack of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from selfedit.memory import DEFAULT_ROUTER, is_routed, load_memory
from selfedit.routing import Choice, Query, Route, Router, make_router
from selfedit.routing.scope import Scopes
from selfedit.types import Adapter, Knowledge, Learnt, Model, Update

if TYPE_CHECKING:
    from selfedit.generate.base import Completion

CANDIDATES = 2
"""How many routes are asked at most, where the router is unsure."""

_SURE = 4.0
"""What a nat of the least sure token's log-probability counts in the score of the router `fitted`."""


_HESITATES = 0.5
"""By how much less score a correction starts, since an adapter that knows one answer is always sure of it: it answers
what may be its question only where the passage hesitates."""


@dataclass(frozen=True)
class Recalled:
    """Who answers a question.

    Attributes:
        model: which.
        adapters: the hashes of those on it, by which two answerers are known to be one; none for the base.
        topic: the title that the question is put under; empty for none.
        source: the passage that a router chose; None where it chose none, or where there is no router.
        probability: that the question is about something learnt, by the router; 1 where there is none.
        score: by which the router prefers it to others.
        others: who might answer instead, where the router is unsure, best first: the surest of all answers is taken.
    """

    model: Model
    topic: str
    adapters: tuple[str, ...] = ()
    source: Learnt | None = None
    probability: float = 1.0
    score: float = 0.0
    others: tuple[Recalled, ...] = ()

    @property
    def candidates(self) -> tuple[Recalled, ...]:
        """All who might answer, the router's choice first."""
        return (self, *self.others)

    @property
    def key(self) -> tuple[tuple[tuple[str, ...], str], ...]:
        """Equal for those who give the same answer."""
        return tuple((each.adapters, each.topic) for each in self.candidates)


def surest(candidates: Sequence[Recalled], answers: Sequence[Completion]) -> int:
    """Whose answer to take: by the router's score, and by how sure of its least sure token each model was.

    A small adapter that was not taught what it is asked hesitates somewhere. On benchmarks/data/held_out, by which this
    was chosen, 33 of 48 answers are right, and 27 with the router's choice alone; docs/lineage.md has other documents.
    """
    return max(range(len(answers)), key=lambda i: sureness(candidates[i], answers[i].logprobs))


def sureness(candidate: Recalled, logprobs: Sequence[float]) -> float:
    """By what `surest` chooses; of an answer under way the most that it can come to, since it never rises."""
    return candidate.score + _SURE * min(logprobs, default=-math.inf)


class Recall:
    """Answers for a version. Adapters are read when a question first needs them.

    Args:
        load: an adapter by its hash; called again for each question, so that it may keep what it likes.
        router: the name of one.
    """

    def __init__(
        self, knowledge: Knowledge, base: Model, load: Callable[[str], Update], router: str = DEFAULT_ROUTER
    ) -> None:
        self.knowledge, self._base, self._load, self._router_name = knowledge, base, load, router
        self._by_id = {item.task.id: item for item in knowledge.learnt}

    @property
    def is_routed(self) -> bool:
        """Whether a router chooses who answers."""
        return is_routed(self.knowledge)

    def recall(self, queries: Sequence[Query]) -> list[Recalled]:
        """Who answers each question, in their order."""
        if not self.knowledge.learnt:
            return [Recalled(self._base, query.topic) for query in queries]
        if not self.is_routed:
            return [Recalled(self._whole, query.topic, self.knowledge.adapters) for query in queries]
        recalled = []
        models: dict[str, Model] = {}

        def by(id: str, score: float, probability: float) -> Recalled:
            item = self._by_id[id]
            if item.adapter not in models:
                models[item.adapter] = self._base.with_update(self._with_policy(item))
            return Recalled(models[item.adapter], item.task.title, (item.adapter,), item, probability, score)

        for query, choice in zip(queries, self._choices(queries), strict=True):
            own, alone = self._correction(query, choice)
            if alone:
                recalled.append(by(own, 0.0, 1.0))
                continue
            if choice.id is None:
                recalled.append(Recalled(self._base, query.topic, probability=choice.probability))
                continue
            scores = dict(choice.ranked)
            best = scores.get(choice.id, 0.0)
            near = [id for id, score in choice.ranked if id != choice.id and best - score <= self._router.unsure]
            others = tuple(by(id, scores[id], choice.probability) for id in near[: CANDIDATES - 1])
            if own:
                others = (*others, by(own, best - _HESITATES, choice.probability))
            recalled.append(replace(by(choice.id, best, choice.probability), others=others))
        return recalled

    def corrects(self, question: str) -> bool:
        """Whether somebody corrected the answer to this very question: what is right is no longer what it was."""
        chosen = self._scopes.choose(Query(question))
        return chosen is not None and chosen[1]

    def about(self, query: Query) -> Learnt | None:
        """The passage that a question is about by the router, whoever answers it."""
        (choice,) = self._choices([query])
        own, alone = self._correction(query, choice)
        id = own if alone else choice.id
        return self._by_id[id] if id is not None else None

    @property
    def unrouted(self) -> Model:
        """The model that there is without a router's choice: the base, where nothing else answers everything."""
        return self._base if self.is_routed or not self.knowledge.learnt else self._whole

    @property
    def only(self) -> Model | None:
        """The model with its adapter always on, where there is a single one."""
        if len(self.knowledge.adapters) != 1:
            return None
        return self._base.with_update(self._with_policy(self.knowledge.learnt[0])) if self.is_routed else self._whole

    @cached_property
    def _whole(self) -> Model:
        """The model that answers everything, where there is no router."""
        if not (self.knowledge.memory and load_memory(self.knowledge.memory).stacked):
            (_,) = self.knowledge.adapters
            return self._base.with_update(self._with_policy(self.knowledge.learnt[0]))
        model, policy = self._base, self.knowledge.learnt[0].policy
        for sha256 in ((policy,) if policy else ()) + self.knowledge.adapters:
            model = model.merge(self._load(sha256))
        return model

    def _with_policy(self, item: Learnt) -> Update:
        """An adapter with the policy that it lies on: their ranks side by side, exact."""
        update = self._load(item.adapter)
        if not item.policy:
            return update
        from selfedit.multilora.merge import side_by_side  # Which imports torch.

        policy = self._load(item.policy)
        assert isinstance(policy, Adapter) and isinstance(update, Adapter)  # Full finetuning is for sequences alone.
        return side_by_side([policy, update], item.task.id)

    def _correction(self, query: Query, choice: Choice) -> tuple[str, bool]:
        """The correction that may be asked for, if any, and whether it answers in the place of what a router chose."""
        chosen = self._scopes.choose(query)
        return ("", False) if chosen is None else (chosen[0], chosen[1] or choice.id is None)

    def _choices(self, queries: Sequence[Query]) -> Sequence[Choice]:
        """The router's, among what documents say."""
        return self._router.choose(queries) if self._passages else [Choice(None, 0.0, ())] * len(queries)

    @cached_property
    def _passages(self) -> list[Route]:
        return [route(item) for item in self.knowledge.learnt if not item.document.is_correction]

    @cached_property
    def _router(self) -> Router:
        return make_router(self._router_name, self._passages)

    @cached_property
    def _scopes(self) -> Scopes:
        """Of what people corrected: an adapter that knows one answer must not be asked for another."""
        own = [route(item) for item in self.knowledge.learnt if item.document.is_correction]
        return Scopes(own, [question for each in self._passages for question in each.questions])


def route(item: Learnt) -> Route:
    """What a passage's adapter answers for: its text, and the questions that its self-edits ask."""
    from selfedit.policies.formats import parse_pairs

    # A cloze says nothing that the passage does not.
    asked = [lesson.question for edit in item.edits for lesson in parse_pairs(edit.text, clozes=False)]
    return Route(item.task.id, item.task.title, item.task.passage, tuple(dict.fromkeys(asked)))
