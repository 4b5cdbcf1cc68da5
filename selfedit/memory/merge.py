"""One adapter after another, each trained on and merged into the model that the one before left (paper, 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

from selfedit.memory.base import Memory
from selfedit.types import Knowledge, Learnt, Model, Recipe


class MergeMemory(Memory):
    """The paper's sequential edits, to compare with: it forgets."""

    name = "merge"
    stacked = True

    def add(self, before: Knowledge, new: Sequence[Learnt], name: str) -> Knowledge:
        examples = tuple(example for item in new for example in self.means.examples(item))
        recipe = Recipe(name, examples, self.means.hyperparameters, new[-1].seed)
        (sha256,) = self.means.train([recipe], self._model(before))
        return Knowledge(self.name, (*before.learnt, *self.held_by(new, sha256)))

    def _model(self, before: Knowledge) -> Model:
        model = self.means.base
        for sha256 in before.adapters:
            model = model.merge(self.means.load(sha256))
        return model
