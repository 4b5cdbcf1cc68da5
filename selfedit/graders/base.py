"""Graders: is an answer right?"""

from __future__ import annotations

from abc import ABC, abstractmethod

from selfedit.types import Probe, Verdict


class Grader(ABC):
    """Compares an answer with the gold answers of its probe."""

    name: str

    @abstractmethod
    def grade(self, probe: Probe, answer: str) -> Verdict:
        """The verdict and its reason. A grader that cannot decide raises; it never calls the answer wrong."""
