"""Gates: whether an update may take effect."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from selfedit.types import Evaluation


@dataclass(frozen=True)
class GateCase:
    """The same probes, in the same order, asked before and after an update.

    Attributes:
        worth_before, worth_after: what the run's reward makes of all answers together; larger is better. None where
            it says nothing of answers.
        what: what is to take effect, as a reason calls it.
        than: and what it is held against.
    """

    before: tuple[Evaluation, ...]
    after: tuple[Evaluation, ...]
    worth_before: float | None = None
    worth_after: float | None = None
    what: str = "the update"
    than: str = "the model without it"


class Gate(ABC):
    """Looks at evaluations before and after an update. Several may stand in a row: the first reason counts."""

    name: ClassVar[str]

    @abstractmethod
    def reason(self, case: GateCase) -> str | None:
        """Why the update must not take effect; None if it may."""


def first_reason(gates: Sequence[Gate], case: GateCase) -> str | None:
    """The reason of the first gate that has one."""
    return next((reason for gate in gates if (reason := gate.reason(case)) is not None), None)
