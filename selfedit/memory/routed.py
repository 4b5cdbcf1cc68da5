"""A small adapter a passage on a base that stays as it is: nothing learnt later can touch what was learnt before."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from selfedit.memory.base import Memory
from selfedit.types import Knowledge, Learnt, Recipe


class RoutedMemory(Memory):
    """For each question a router picks the adapter of one passage, or none where nothing fits.

    An adapter depends on its own passage alone: the next document costs what the first did, and one that is forgotten
    leaves no trace in the others.
    """

    name = "routed"
    routed = True

    def add(self, before: Knowledge, new: Sequence[Learnt], name: str) -> Knowledge:
        recipes = [
            Recipe(item.task.id, self.means.examples(item), self.means.hyperparameters, item.seed) for item in new
        ]
        hashes = self.means.train(recipes, self.means.base)
        # One that diverged has no adapter, and its passage is not known.
        policy = self.means.policy
        held = tuple(
            replace(item, adapter=sha256, policy=policy) for item, sha256 in zip(new, hashes, strict=True) if sha256
        )
        return Knowledge(self.name, (*before.learnt, *held))

    def without(self, before: Knowledge, gone: Collection[Learnt]) -> Knowledge:
        """The adapters of the others stay as they are."""
        left = tuple(item for item in before.learnt if item not in gone)
        if before.memory != self.name:
            return super().without(before, gone)
        return Knowledge(self.name, left)
