"""Gates: whether an update may take effect."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from selfedit.gates.paired import Change
from selfedit.rules import DriftRules
from selfedit.types import Answer, DriftFigures, Evaluation, GateFigure


@dataclass(frozen=True)
class Compared:
    """The same probes, asked before and after an update.

    Attributes:
        same: how many more are answered by the very same model as before, under the same title, and so need not be
            asked again: where each adapter answers for its own passage, that is nearly all of them.
    """

    before: tuple[Answer, ...]
    after: tuple[Answer, ...]
    same: int = 0

    def __post_init__(self) -> None:
        if [answer.probe_id for answer in self.before] != [answer.probe_id for answer in self.after]:
            raise ValueError("answers before and after are not to the same probes")

    @property
    def count(self) -> int:
        """All probes, asked or not."""
        return len(self.before) + self.same

    @property
    def change(self) -> Change:
        """What became of right answers. Raises ValueError where there is no probe."""
        lost, gained = (self._turned(was, self.before, self.after) for was in (True, False))
        return Change(lost, gained, self.count)

    @staticmethod
    def _turned(was: bool, before: Sequence[Answer], after: Sequence[Answer]) -> int:
        """How many verdicts that were `was` are no longer."""
        pairs = zip(before, after, strict=True)
        return sum(b.verdict.correct is was and a.verdict.correct is not was for b, a in pairs)


@dataclass(frozen=True)
class Margins:
    """What loss is put up with. Losses are shares of questions, the divergence is in nats a token.

    Attributes:
        general: of 160 general questions. An update that leaves nearly all answers alone, as a routed one does, is held
            back by chance in 3% of cases; one that changes a tenth of them without being worse, in 40%. A true loss
            of 5 points is caught in 95% (`python -m benchmarks.gate_errors`).
        retained: of what was learnt before, about which there are fewer questions: 60 of them hold an update that
            changes 2% of the answers back by chance in 2% of cases.
        divergence: of the next token's distribution on plain texts from the base's.
    """

    general: float = 0.05
    retained: float = 0.1
    divergence: float = 0.1


@dataclass(frozen=True)
class GateCase:
    """What is known of an update: the same probes about what is new, in the same order, asked before and after it.

    Attributes:
        worth_before, worth_after: what the run's reward makes of all answers together; larger is better. None where
            it says nothing of answers.
        what: what is to take effect, as a reason calls it.
        than: and what it is held against.
        retained: probes about what was learnt before; None where nothing was, here and below where nobody asked.
        general: questions about the world.
        keep: the user's own, which are to stay right.
        divergence: from the base on plain texts, nats a token.
        drift: how the base and the version answer the fixed set of prompts; empty where nobody asked.
        drift_limits: what the version may differ by.
    """

    before: tuple[Evaluation, ...]
    after: tuple[Evaluation, ...]
    worth_before: float | None = None
    worth_after: float | None = None
    what: str = "the update"
    than: str = "the model without it"
    retained: Compared | None = None
    general: Compared | None = None
    keep: Compared | None = None
    divergence: float | None = None
    margins: Margins = field(default_factory=Margins)
    drift: tuple[DriftFigures, ...] = ()
    drift_limits: DriftRules = field(default_factory=DriftRules)


class Gate(ABC):
    """Looks at evaluations before and after an update. Several may stand in a row: the first reason counts."""

    name: ClassVar[str]

    @abstractmethod
    def reason(self, case: GateCase) -> str | None:
        """Why the update must not take effect; None if it may."""

    def figures(self, case: GateCase) -> str:
        """What the gate saw, in words; empty where there was nothing to see."""
        return ""


def first_reason(gates: Sequence[Gate], case: GateCase) -> str | None:
    """The reason of the first gate that has one."""
    return next((reason for gate in gates if (reason := gate.reason(case)) is not None), None)


def all_figures(gates: Sequence[Gate], case: GateCase) -> tuple[GateFigure, ...]:
    """What each gate saw, those left out that had nothing to see."""
    figures = []
    for gate in gates:
        reason, text = gate.reason(case), gate.figures(case)
        if text or reason is not None:
            figures.append(GateFigure(gate.name, reason is None, text or reason or ""))
    return tuple(figures)
