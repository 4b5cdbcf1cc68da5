"""How likely the gold answers have become: a reward that hardly ever ties."""

from __future__ import annotations

from selfedit.rewards.base import Reward
from selfedit.types import Evaluation, SelfEdit, Task


class LogprobReward(Reward):
    """The gain in the gold answers' mean log-probability a token, in nats. We add it to the paper's.

    With five questions accuracy has six values, and most edits of a passage tie.
    """

    name = "logprob"

    def value(self, task: Task, edit: SelfEdit, before: Evaluation, after: Evaluation) -> float:
        """See `Reward.value`."""
        return after.gold_logprob - before.gold_logprob
