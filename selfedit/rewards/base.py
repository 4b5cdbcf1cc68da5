"""Rewards: what an evaluation is worth."""

from __future__ import annotations

from abc import ABC, abstractmethod

from selfedit.types import Evaluation


class Reward(ABC):
    """Orders evaluations of one task."""

    name: str

    @abstractmethod
    def score(self, evaluation: Evaluation) -> tuple[float, ...]:
        """A value to compare, larger is better; later entries break ties of earlier ones."""
