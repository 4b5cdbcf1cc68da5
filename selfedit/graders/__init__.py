"""Graders by name. A new grader is one file and one line here."""

from __future__ import annotations

from selfedit.graders.base import Grader
from selfedit.graders.exact import ExactGrader
from selfedit.graders.judge import JudgeGrader
from selfedit.graders.learned import LearnedGrader
from selfedit.graders.match import MatchGrader
from selfedit.models.wording import Wording

GRADERS: dict[str, type[Grader]] = {
    grader.name: grader for grader in (MatchGrader, LearnedGrader, ExactGrader, JudgeGrader)
}

__all__ = ["GRADERS", "Grader", "make_grader"]


def make_grader(name: str, wording: Wording | None = None) -> Grader:
    """The grader of that name; a judge asks in somebody's own words, if they have some.

    Raises:
        UserError: a judge lacks its address.
    """
    if name == JudgeGrader.name and wording is not None and wording.judging:
        return JudgeGrader(template=wording.judging)
    return GRADERS[name]()
