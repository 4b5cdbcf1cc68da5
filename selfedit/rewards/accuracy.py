"""Accuracy after the update: the paper's reward (section 3.1)."""

from __future__ import annotations

from selfedit.rewards.base import Reward
from selfedit.types import Evaluation, SelfEdit, Task


class AccuracyReward(Reward):
    """The share of right answers."""

    name = "accuracy"

    def value(self, task: Task, edit: SelfEdit, before: Evaluation, after: Evaluation) -> float:
        """See `Reward.value`."""
        return after.accuracy
