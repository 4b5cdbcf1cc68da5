"""Accuracy after the update: the paper's reward (section 3.1), its ties broken."""

from __future__ import annotations

from selfedit.rewards.base import Reward
from selfedit.types import Evaluation


class AccuracyReward(Reward):
    """The share of right answers; among equals, the gold answers' mean log-probability.

    With a handful of questions most edits tie on accuracy alone, so the paper's choice between them is by chance.
    """

    name = "accuracy"

    def score(self, evaluation: Evaluation) -> tuple[float, ...]:
        """See `Reward.score`."""
        return (evaluation.accuracy, evaluation.gold_logprob)
