"""The gate on what people corrected: it is answered rightly now."""

from __future__ import annotations

from selfedit.gates.base import Gate, GateCase
from selfedit.types import pooled


class CorrectedGate(Gate):
    """At least one of the corrected questions is answered rightly, and no fewer than before.

    One correction is one question: no test could tell it from chance, and what is right is known.
    """

    name = "corrected"

    def reason(self, case: GateCase) -> str | None:
        before, after = _right(case)
        if after and after >= before:
            return None
        return f"{case.what} does not make answers right: {self.figures(case)}"

    def figures(self, case: GateCase) -> str:
        before, after = _right(case)
        return f"{after} of {len(pooled(case.after).answers)} right, {before} before"


def _right(case: GateCase) -> tuple[int, int]:
    before, after = (sum(a.verdict.correct for a in pooled(answers).answers) for answers in (case.before, case.after))
    return before, after
