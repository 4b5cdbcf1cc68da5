"""The gate on what is new: more right answers, and not by chance."""

from __future__ import annotations

from selfedit.gates.base import Gate, GateCase
from selfedit.gates.paired import Superiority, superior
from selfedit.types import pooled


class ImprovedGate(Gate):
    """At least one more answer is right, and a paired test at 95% says that answers improved (`paired.superior`)."""

    name = "improved"

    def reason(self, case: GateCase) -> str | None:
        if not pooled(case.before).answers:
            return "there is no question to measure it by"
        test = _test(case)
        return None if test.better else f"{case.what} is not shown to be better than {case.than}: {test.reason}"

    def figures(self, case: GateCase) -> str:
        return _test(case).describe() if pooled(case.before).answers else ""


def _test(case: GateCase) -> Superiority:
    before, after = pooled(case.before).answers, pooled(case.after).answers
    return superior(
        [answer.verdict.correct for answer in before],
        [answer.verdict.correct for answer in after],
        [answer.gold_logprob for answer in before],
        [answer.gold_logprob for answer in after],
    )
