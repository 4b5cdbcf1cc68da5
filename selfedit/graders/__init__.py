"""Graders by name. A new grader is one file and one line here."""

from __future__ import annotations

from selfedit.graders.base import Grader
from selfedit.graders.exact import ExactGrader
from selfedit.graders.judge import JudgeGrader
from selfedit.graders.learned import LearnedGrader
from selfedit.graders.match import MatchGrader

GRADERS: dict[str, type[Grader]] = {
    grader.name: grader for grader in (MatchGrader, LearnedGrader, ExactGrader, JudgeGrader)
}

__all__ = ["GRADERS", "Grader"]
