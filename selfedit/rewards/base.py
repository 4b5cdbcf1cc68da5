"""Rewards: what a self-edit is worth."""

from __future__ import annotations

from abc import ABC, abstractmethod

from selfedit.types import Evaluation, SelfEdit, Task


class Reward(ABC):
    """Orders the self-edits of one task.

    Attributes:
        needs_training: whether it looks at what an adapter answers; if not, it can screen edits before training.
    """

    name: str
    needs_training: bool = True

    @abstractmethod
    def value(self, task: Task, edit: SelfEdit, before: Evaluation, after: Evaluation) -> float:
        """A number to compare, larger is better.

        Args:
            before: the task's probes asked of the base.
            after: the same asked of an adapter trained on the edit; `before` itself for the worth of no update.
        """
