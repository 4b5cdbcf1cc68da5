"""Likelier gold answers, less what general questions lose by it: an edit that makes the model forget is worth less."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from selfedit.rewards.base import Reward
from selfedit.types import Evaluation, Group, Task


class RetainingReward(Reward):
    """The gain in the gold answers' mean log-probability, less `WEIGHT` times the loss of it on general questions.

    In nats a token, both. Each adapter is asked some of the bundled general questions for it. A gain there counts
    nothing: the paper's reward, which knows no general questions, is what is to be had without forgetting.
    """

    name = "retaining"
    needs_general = True
    WEIGHT = 1.0

    def rewards(self, group: Group) -> list[tuple[float, ...]]:
        return [
            tuple(
                trial.after.gold_logprob - group.before.gold_logprob + self.WEIGHT * min(0.0, trial.general_change or 0)
                for trial in rollout.trials
                if trial.after is not None
            )
            for rollout in group.rollouts
        ]

    def no_update(self, group: Group) -> float | None:
        return 0.0

    def overall(self, tasks: Sequence[Task], before: Sequence[Evaluation], after: Sequence[Evaluation]) -> float | None:
        """The mean gain over tasks; what general questions lose is the gates' to say."""
        return fmean(b.gold_logprob - a.gold_logprob for a, b in zip(before, after, strict=True))
