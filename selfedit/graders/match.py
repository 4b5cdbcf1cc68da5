"""The grader that needs no model: an answer is right if it contains a gold answer."""

from __future__ import annotations

from selfedit.graders.base import Grader
from selfedit.matching import answer_in_passage
from selfedit.types import Probe, Verdict


class MatchGrader(Grader):
    """Containment of any gold answer, whole words, whatever the case, punctuation and articles."""

    name = "match"

    def grade(self, probe: Probe, answer: str) -> Verdict:
        """See `Grader.grade`."""
        for gold in probe.answers:
            if answer_in_passage(gold, answer):
                return Verdict(True, f"contains '{gold}'")
        return Verdict(False, f"does not contain '{probe.answers[0]}'")
