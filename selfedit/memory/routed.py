"""A small adapter a passage on a base that stays as it is: nothing learnt later can touch what was learnt before."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from selfedit.memory.base import Memory
from selfedit.types import Example, Hyperparameters, Knowledge, Learnt, Recipe

_STEPS = 20
"""Optimizer steps on a correction at least. A question and its answer are one step an epoch, and after six of them two
of twenty on benchmarks/data/unseen were still answered wrongly."""


class RoutedMemory(Memory):
    """For each question a router picks the adapter of one passage, or none where nothing fits.

    An adapter depends on its own passage alone: the next document costs what the first did, and one that is forgotten
    leaves no trace in the others.
    """

    name = "routed"
    routed = True

    def add(self, before: Knowledge, new: Sequence[Learnt], name: str) -> Knowledge:
        recipes = [self._recipe(item, self.means.examples(item)) for item in new]
        hashes = self.means.train(recipes, self.means.base)
        # One that diverged has no adapter, and its passage is not known.
        policy = self.means.policy
        held = tuple(
            replace(item, adapter=sha256, policy=policy) for item, sha256 in zip(new, hashes, strict=True) if sha256
        )
        return Knowledge(self.name, (*before.learnt, *held))

    def _recipe(self, item: Learnt, examples: tuple[Example, ...]) -> Recipe:
        settings = self.means.hyperparameters
        if item.document.is_correction:
            settings = _enough(settings, len(examples))
        return Recipe(item.task.id, examples, settings, item.seed)

    def without(self, before: Knowledge, gone: Collection[Learnt]) -> Knowledge:
        """The adapters of the others stay as they are."""
        left = tuple(item for item in before.learnt if item not in gone)
        if before.memory != self.name:
            return super().without(before, gone)
        return Knowledge(self.name, left)


def _enough(settings: Hyperparameters, examples: int) -> Hyperparameters:
    """As many epochs as make enough steps of so few examples."""
    steps = math.ceil(examples / (settings.batch_size * settings.gradient_accumulation))
    return replace(settings, epochs=max(settings.epochs, math.ceil(_STEPS / steps)))
