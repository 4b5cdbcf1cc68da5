"""Memory: how what is new and what was learnt before live together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from selfedit.types import Adapter, Example, Hyperparameters, Knowledge, Learnt, LoraFactors, Model, Recipe, Update


@dataclass(frozen=True)
class Means:
    """What a memory works with.

    Attributes:
        base: the model that adapters are trained on: the base, perhaps with a policy merged.
        policy: the hash of that policy; empty where there is none.
        examples: what a passage's self-edits teach.
        train: trains recipes on a model, keeps what comes of them, and returns their hashes in the same order.
        load, keep: an update by its hash, and back. Full finetuning makes updates that only `merge` can use.
        hyperparameters: of all training.
        replay: of a memory that mixes old edits in, how many for each new one.
    """

    base: Model
    examples: Callable[[Learnt], tuple[Example, ...]]
    train: Callable[[Sequence[Recipe], Model], list[str]]
    load: Callable[[str], Update]
    keep: Callable[[Adapter], str]
    hyperparameters: Hyperparameters
    replay: float = 1.0
    policy: str = ""


def same_document(one: Learnt, other: Learnt) -> bool:
    """Whether two passages come from one document, perhaps from what it said at different times.

    The path says so and, where one file holds many documents, the title, too. A moved file is known by its bytes.
    """
    a, b = one.document, other.document
    if a.sha256 == b.sha256:
        return True
    return a.path == b.path and (a.title == b.title or not a.path.endswith(".json"))


def same_passage(one: Learnt, other: Learnt) -> bool:
    """Whether two are one passage, learnt in two ways."""
    return one.task.id == other.task.id


Same = Callable[[Learnt, Learnt], bool]
"""Whether one passage takes the place of another."""


class Memory(ABC):
    """Makes knowledge out of knowledge and what is new.

    Attributes:
        routed: whether each question is answered by one adapter or by none, which a router decides.
        stacked: whether all adapters are merged, one after another.
    """

    name: ClassVar[str]
    routed: ClassVar[bool] = False
    stacked: ClassVar[bool] = False

    def __init__(self, means: Means) -> None:
        self.means = means

    @abstractmethod
    def add(self, before: Knowledge, new: Sequence[Learnt], name: str) -> Knowledge:
        """What is known when `new` is learnt on top of `before`, which is this memory's own and stays as it is.

        Args:
            name: of the recipes, where there is one for all.
        """

    def without(self, before: Knowledge, gone: Collection[Learnt]) -> Knowledge:
        """What is known when some passages never were: whatever depended on them is trained anew without them."""
        left = tuple(item for item in before.learnt if item not in gone)
        return self.add(Knowledge(self.name), left, "anew") if left else Knowledge(self.name)

    def learn(
        self,
        before: Knowledge,
        new: Sequence[Learnt],
        name: str,
        same: Same = same_document,
    ) -> Knowledge:
        """What is known after `new`, which takes the place of what is the `same`: what its documents said before.

        Knowledge of another memory is first trained anew in this one's way, and so is, where one model answers
        everything, what lies on another policy.
        """
        replaced = [item for item in before.learnt if any(same(item, other) for other in new)]
        is_foreign = not self.routed and any(item.policy != self.means.policy for item in before.learnt)
        if replaced or is_foreign or before.memory != self.name:
            before = self.without(before, replaced)
        return self.add(before, new, name)

    def weaker(self, before: Knowledge, after: Knowledge, scale: float) -> Knowledge:
        """The knowledge after an update that is only `scale` (0 to 1) times as large."""
        renamed = {
            sha256: self.means.keep(self._weaker(before, sha256, scale))
            for sha256 in after.adapters
            if sha256 not in before.adapters
        }
        learnt = (replace(item, adapter=renamed.get(item.adapter, item.adapter)) for item in after.learnt)
        return replace(after, learnt=tuple(learnt))

    def held_by(self, learnt: Sequence[Learnt], sha256: str) -> tuple[Learnt, ...]:
        """The passages in one adapter."""
        return tuple(replace(item, adapter=sha256, policy=self.means.policy) for item in learnt)

    def _weaker(self, before: Knowledge, sha256: str, scale: float) -> Adapter:
        return scaled(self.adapter(sha256), scale)

    def adapter(self, sha256: str) -> Adapter:
        """An update that has to be an adapter.

        Raises:
            TypeError: it is the outcome of full finetuning.
        """
        update = self.means.load(sha256)
        if not isinstance(update, Adapter):
            raise TypeError(f"the memory '{self.name}' works with adapters, not with all weights")
        return update


def scaled(adapter: Adapter, scale: float) -> Adapter:
    """An adapter whose update is `scale` times as large. Its B is, so that its weights say so by their hash."""
    factors = {name: LoraFactors(pair.a_RI, pair.b_OR * scale) for name, pair in adapter.factors.items()}
    return replace(adapter, factors=factors)
