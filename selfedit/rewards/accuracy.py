"""Accuracy after the update: the paper's reward (section 3.1)."""

from __future__ import annotations

from selfedit.rewards.answers import AnswersReward
from selfedit.types import Evaluation


class AccuracyReward(AnswersReward):
    """The share of right answers."""

    name = "accuracy"

    def of_answers(self, before: Evaluation, after: Evaluation) -> float:
        return after.accuracy
