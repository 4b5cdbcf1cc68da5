"""Gates by name. A new one is one file and one line here; a user's own is `package.module:Class`."""

from __future__ import annotations

from selfedit.gates.base import Compared, Gate, GateCase, Margins, all_figures, first_reason
from selfedit.gates.better import BetterGate
from selfedit.gates.corrected import CorrectedGate
from selfedit.gates.drift import DriftGate
from selfedit.gates.improved import ImprovedGate
from selfedit.gates.retained import DivergenceGate, GeneralGate, KeepGate, RetainedGate
from selfedit.imports import load_named

GATES: dict[str, type[Gate]] = {
    gate.name: gate
    for gate in (
        ImprovedGate,
        RetainedGate,
        GeneralGate,
        DivergenceGate,
        KeepGate,
        BetterGate,
        CorrectedGate,
        DriftGate,
    )
}

__all__ = ["GATES", "Compared", "Gate", "GateCase", "Margins", "all_figures", "first_reason", "make_gate"]


def make_gate(name: str) -> Gate:
    """The gate of that name.

    Raises:
        UserError: there is none; the nearest is suggested.
    """
    return load_named(name, "gate", GATES, Gate)()
