"""The limits on drift, and the gate on corrections."""

from __future__ import annotations

from dataclasses import replace

import pytest

from selfedit.gates import GateCase, make_gate
from selfedit.rules import DriftRules
from selfedit.types import Answer, DriftFigures, Evaluation, Verdict

BASE = DriftFigures("base", 60, 0, 0.0, 0.8, 0.1, 10.0, 0.0)
NOW = replace(BASE, of="routed", moved=5, divergence=0.2, declined=0.5, words=14.0)


def case(limits: DriftRules, now: DriftFigures = NOW) -> GateCase:
    return GateCase((), (), drift=(BASE, now), drift_limits=limits)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (DriftRules(), ""),
        (DriftRules(divergence=0.2, declined=0.31, length=0.41), ""),
        (DriftRules(divergence=0.19), "divergence 0.2, 0.19 at most"),
        (DriftRules(declined=0.2), "share declined 0.3, 0.2 at most"),
        (DriftRules(length=0.3), "length 0.4, 0.3 at most"),
    ],
)
def test_each_limit_holds_by_itself(limits: DriftRules, said: str) -> None:
    reason = make_gate("drift").reason(case(limits))
    assert reason is None if not said else reason is not None and said in reason


def test_what_cannot_be_measured_is_within_no_limit() -> None:
    unknown = replace(NOW, divergence=None)
    assert make_gate("drift").reason(case(DriftRules(divergence=5.0), unknown)) is not None
    assert make_gate("drift").reason(case(DriftRules(length=0.5), unknown)) is None


def test_corrections_have_to_be_right_and_none_of_them_lost() -> None:
    def answers(*right: bool) -> tuple[Evaluation, ...]:
        return (Evaluation("t", "match", tuple(Answer(str(n), "", Verdict(r, ""), 0.0) for n, r in enumerate(right))),)

    gate = make_gate("corrected")
    assert gate.reason(GateCase(answers(False), answers(True))) is None
    assert gate.reason(GateCase(answers(False, False), answers(True, False))) is None
    assert gate.reason(GateCase(answers(True), answers(True))) is None
    assert gate.reason(GateCase(answers(False), answers(False))) is not None
    assert gate.reason(GateCase(answers(True, True), answers(True, False))) is not None
