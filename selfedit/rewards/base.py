"""Rewards: what a self-edit is worth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from statistics import fmean

from selfedit.types import Evaluation, Group, SelfEdit, Task


class Reward(ABC):
    """Orders the self-edits of one task. It sees all of them, with all that their adapters answered.

    Attributes:
        needs_training: whether it looks at what adapters answer; if not, none is trained for it, and it can screen
            edits before training.
        needs_passage: whether it reads a task's context as a passage, which demonstrations are not.
        needs_general: whether each adapter is asked general questions, too, for `Trial.general_change`.
    """

    name: str
    needs_training: bool = True
    needs_passage: bool = False
    needs_general: bool = False

    @property
    def identity(self) -> str:
        """What rewards hang on: two rewards of one identity give the same.

        Raises:
            UserError: something that it needs is missing, such as the address of a judge.
        """
        return self.name

    def shown(self, task: Task, text: str) -> str:
        """What another model is asked about a self-edit's text; empty where none is."""
        return ""

    def refusal(self, task: Task, edit: SelfEdit) -> str:
        """Why an edit has no reward, and is not trained on; empty for one that may have some."""
        return ""

    @abstractmethod
    def rewards(self, group: Group) -> list[tuple[float, ...]]:
        """What each edit of a group is worth, larger is better: a number for each of its `afters`, in their order.

        A reward that needs no training gives one number an edit.
        """

    def no_update(self, group: Group) -> float | None:
        """What no update is worth by the same measure; None where that cannot be said."""
        return None

    def overall(self, tasks: Sequence[Task], before: Sequence[Evaluation], after: Sequence[Evaluation]) -> float | None:
        """What answers to all tasks are worth together, for gates; None where the reward says nothing of answers.

        Args:
            before: what the model answered without update.
            after: what is to be judged; `before` itself for no update.
        """
        return None


class TrialReward(Reward):
    """A reward that looks at one adapter's answers at a time."""

    @abstractmethod
    def value(self, task: Task, before: Evaluation, after: Evaluation) -> float:
        """A number to compare, larger is better.

        Args:
            before: the task's probes asked of the model without update.
            after: the same asked of an adapter; `before` itself for the worth of no update.
        """

    def rewards(self, group: Group) -> list[tuple[float, ...]]:
        return [
            tuple(self.value(group.task, group.before, after) for after in rollout.afters) for rollout in group.rollouts
        ]

    def no_update(self, group: Group) -> float | None:
        return self.value(group.task, group.before, group.before)

    def overall(self, tasks: Sequence[Task], before: Sequence[Evaluation], after: Sequence[Evaluation]) -> float | None:
        """The mean over tasks."""
        return fmean(self.value(*triple) for triple in zip(tasks, before, after, strict=True))
