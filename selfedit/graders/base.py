"""Graders: is an answer right?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from selfedit.types import Probe, Verdict


class Grader(ABC):
    """Compares an answer with the gold answers of its probe."""

    name: str

    @property
    def identity(self) -> str:
        """What its verdicts hang on: two graders of one identity give the same."""
        return self.name

    def shown(self, probe: Probe, answer: str) -> str:
        """What another model is asked about an answer; empty where none is."""
        return ""

    @abstractmethod
    def grade(self, probe: Probe, answer: str) -> Verdict:
        """The verdict and its reason. A grader that cannot decide raises; it never calls the answer wrong."""

    def grade_all(self, items: Sequence[tuple[Probe, str]]) -> list[Verdict]:
        """A verdict for each (probe, answer), in their order; a grader that waits for others asks many at once."""
        return [self.grade(probe, answer) for probe, answer in items]
