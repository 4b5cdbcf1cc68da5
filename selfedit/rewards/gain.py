"""Gain over the base."""

from __future__ import annotations

from selfedit.rewards.answers import AnswersReward
from selfedit.types import Evaluation


class GainReward(AnswersReward):
    """The accuracy after the update less the base's: unlike accuracy, comparable between tasks."""

    name = "gain"

    def of_answers(self, before: Evaluation, after: Evaluation) -> float:
        return after.accuracy - before.accuracy
