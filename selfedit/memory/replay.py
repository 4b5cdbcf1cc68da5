"""One adapter that goes on from what it was, with old edits mixed in among the new ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from selfedit.memory.base import Memory, scaled
from selfedit.types import Adapter, Example, Knowledge, Learnt, LoraFactors, Recipe


class ReplayMemory(Memory):
    """Goes on from the adapter before; for each new example, `replay` old ones are drawn."""

    name = "replay"

    def add(self, before: Knowledge, new: Sequence[Learnt], name: str) -> Knowledge:
        examples: list[Example] = [example for item in new for example in self.means.examples(item)]
        old = [example for item in before.learnt for example in self.means.examples(item)]
        draw = random.Random(new[-1].seed)
        examples += draw.sample(old, min(len(old), round(self.means.replay * len(examples))))
        start = self.adapter(before.adapters[0]) if before.learnt else None
        recipe = Recipe(name, tuple(examples), self.means.hyperparameters, new[-1].seed)
        (sha256,) = self.means.train([replace(recipe, start=start)], self.means.base)
        return Knowledge(self.name, self.held_by((*before.learnt, *new), sha256))

    def _weaker(self, before: Knowledge, sha256: str, scale: float) -> Adapter:
        """Part of the way from the adapter before, factor by factor."""
        after = self.adapter(sha256)
        if not before.learnt:
            return scaled(after, scale)
        start = self.adapter(before.adapters[0])
        factors = {
            name: LoraFactors(
                start.factors[name].a_RI.lerp(pair.a_RI, scale), start.factors[name].b_OR.lerp(pair.b_OR, scale)
            )
            for name, pair in after.factors.items()
        }
        return replace(after, factors=factors)
