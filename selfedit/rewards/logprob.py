"""How likely the gold answers have become: a reward that hardly ever ties."""

from __future__ import annotations

from selfedit.rewards.answers import AnswersReward
from selfedit.types import Evaluation


class LogprobReward(AnswersReward):
    """The gain in the gold answers' mean log-probability a token, in nats. We add it to the paper's.

    With five questions accuracy has six values, and most edits of a passage tie.
    """

    name = "logprob"

    def of_answers(self, before: Evaluation, after: Evaluation) -> float:
        return after.gold_logprob - before.gold_logprob
