"""One adapter, trained anew on all that is known: nothing old depends on the order, and each step costs more."""

from __future__ import annotations

from collections.abc import Sequence

from selfedit.memory.base import Memory, Same, same_document
from selfedit.types import Example, Knowledge, Learnt, Recipe


class JointMemory(Memory):
    """The kept edits of all documents, old and new, in one adapter on the base."""

    name = "joint"

    def add(self, before: Knowledge, new: Sequence[Learnt], name: str) -> Knowledge:
        learnt = (*before.learnt, *new)
        examples: tuple[Example, ...] = tuple(example for item in learnt for example in self.means.examples(item))
        recipe = Recipe(name, examples, self.means.hyperparameters, new[-1].seed)
        (sha256,) = self.means.train([recipe], self.means.base)
        return Knowledge(self.name, self.held_by(learnt, sha256))

    def learn(
        self,
        before: Knowledge,
        new: Sequence[Learnt],
        name: str,
        same: Same = same_document,
    ) -> Knowledge:
        """Whatever memory the old edits were in, they are trained on once, with the new ones."""
        left = tuple(item for item in before.learnt if not any(same(item, other) for other in new))
        return self.add(Knowledge(self.name, left), new, name)
