"""What rewards that follow from the answers alone have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from selfedit.rewards.base import TrialReward
from selfedit.types import Evaluation, Task, pooled


class AnswersReward(TrialReward):
    """A reward of two evaluations, whatever task they are of."""

    @abstractmethod
    def of_answers(self, before: Evaluation, after: Evaluation) -> float:
        """What `after` is worth, given `before`."""

    def value(self, task: Task, before: Evaluation, after: Evaluation) -> float:
        return self.of_answers(before, after)

    def overall(self, tasks: Sequence[Task], before: Sequence[Evaluation], after: Sequence[Evaluation]) -> float | None:
        """Of all answers together, each counting the same."""
        return self.of_answers(pooled(before), pooled(after))
