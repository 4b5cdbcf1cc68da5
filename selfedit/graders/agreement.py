"""How far a grader agrees with verdicts that were given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Agreement:
    """Counts of (grader's verdict, given verdict); at least one pair."""

    both_right: int
    both_wrong: int
    only_grader: int
    only_given: int

    @property
    def rows(self) -> int:
        return self.both_right + self.both_wrong + self.only_grader + self.only_given

    @property
    def agreement(self) -> float:
        """The share of rows with the same verdict."""
        return (self.both_right + self.both_wrong) / self.rows

    @property
    def bias(self) -> float:
        """The share that the grader calls right less the share given as right: below 0 is too strict."""
        return (self.only_grader - self.only_given) / self.rows

    @property
    def kappa(self) -> float:
        """Cohen's kappa: agreement beyond chance, 1 at most. Where chance explains all, 1 if all agree."""
        graded = (self.both_right + self.only_grader) / self.rows
        given = (self.both_right + self.only_given) / self.rows
        chance = graded * given + (1 - graded) * (1 - given)
        return 1.0 if chance == 1 else (self.agreement - chance) / (1 - chance)

    @property
    def confusion(self) -> dict[str, int]:
        """The counts by name."""
        return {
            "both_right": self.both_right,
            "both_wrong": self.both_wrong,
            "only_grader_right": self.only_grader,
            "only_given_right": self.only_given,
        }


def compare(graded: Sequence[bool], given: Sequence[bool]) -> Agreement:
    """The agreement of two sequences of verdicts on the same rows, as many and at least one."""
    pairs = list(zip(graded, given, strict=True))
    if not pairs:
        raise ValueError("no verdicts to compare")
    counts = {(a, b): pairs.count((a, b)) for a in (True, False) for b in (True, False)}
    return Agreement(counts[True, True], counts[False, False], counts[True, False], counts[False, True])
