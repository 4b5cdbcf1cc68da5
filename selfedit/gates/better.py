"""The gate of `learn`: an update has to answer better."""

from __future__ import annotations

from selfedit.gates.base import Gate, GateCase
from selfedit.types import Evaluation, pooled


class BetterGate(Gate):
    """More worth by the run's reward (accuracy, where it says nothing of answers) or, with as much, likelier answers.

    With a handful of questions equal accuracies are the rule, and log-probabilities tell them apart.
    """

    name = "better"

    def reason(self, case: GateCase) -> str | None:
        if _worth(case.after, case.worth_after) > _worth(case.before, case.worth_before):
            return None
        return f"{case.what} does not answer better than {case.than}"


def _worth(evaluations: tuple[Evaluation, ...], worth: float | None) -> tuple[float, float]:
    answers = pooled(evaluations)
    return answers.accuracy if worth is None else worth, answers.gold_logprob
