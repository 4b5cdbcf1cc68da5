"""Gain over the base."""

from __future__ import annotations

from selfedit.rewards.base import Reward
from selfedit.types import Evaluation, SelfEdit, Task


class GainReward(Reward):
    """The accuracy after the update less the base's: unlike accuracy, comparable between tasks."""

    name = "gain"

    def value(self, task: Task, edit: SelfEdit, before: Evaluation, after: Evaluation) -> float:
        """See `Reward.value`."""
        return after.accuracy - before.accuracy
