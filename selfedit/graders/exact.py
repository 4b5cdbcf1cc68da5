"""The grader of what must be exactly right."""

from __future__ import annotations

from selfedit.graders.base import Grader
from selfedit.types import Probe, Verdict


class ExactGrader(Grader):
    """The same text as a gold answer, but for space around it."""

    name = "exact"

    def grade(self, probe: Probe, answer: str) -> Verdict:
        if answer.strip() in {gold.strip() for gold in probe.answers}:
            return Verdict(True, "the same")
        return Verdict(False, "not the same" if answer.strip() else "there is no answer")
