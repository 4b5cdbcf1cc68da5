"""The gates on what must stay: what was learnt before, what everybody knows, and what the user names."""

from __future__ import annotations

from abc import abstractmethod

from selfedit.gates.base import Compared, Gate, GateCase
from selfedit.gates.paired import NonInferiority, non_inferior


class _NotWorseGate(Gate):
    """A paired test of non-inferiority, one-sided at 95%: a loss above a margin has to be excluded.

    Questions too few to exclude it whatever they say have to show no net loss (`paired.NonInferiority.acceptable`).
    """

    what: str

    @abstractmethod
    def compared(self, case: GateCase) -> Compared | None:
        """The answers that it looks at."""

    @abstractmethod
    def margin(self, case: GateCase) -> float:
        """The loss that is put up with."""

    def reason(self, case: GateCase) -> str | None:
        test = self._test(case)
        if test is None or test.acceptable:
            return None
        return f"{case.what} {'forgets' if test.verdict == 'worse' else 'may forget'} {self.what}: {test.describe()}"

    def figures(self, case: GateCase) -> str:
        test = self._test(case)
        return test.describe() if test is not None else ""

    def _test(self, case: GateCase) -> NonInferiority | None:
        compared = self.compared(case)
        if compared is None or not compared.count:
            return None
        return non_inferior(compared.change, self.margin(case))


class RetainedGate(_NotWorseGate):
    """What was learnt before is still known."""

    name = "retained"
    what = "what was learnt before"

    def compared(self, case: GateCase) -> Compared | None:
        return case.retained

    def margin(self, case: GateCase) -> float:
        return case.margins.retained


class GeneralGate(_NotWorseGate):
    """General questions are answered as well as by the base."""

    name = "general"
    what = "what the base knows"

    def compared(self, case: GateCase) -> Compared | None:
        return case.general

    def margin(self, case: GateCase) -> float:
        return case.margins.general


class KeepGate(_NotWorseGate):
    """The user's own questions, and those that people corrected: none that was answered rightly may be lost."""

    name = "keep"
    what = "what is to stay right"

    def compared(self, case: GateCase) -> Compared | None:
        return case.keep

    def margin(self, case: GateCase) -> float:
        return 0.0

    def reason(self, case: GateCase) -> str | None:
        test = self._test(case)
        if test is None or test.change.lost == 0:
            return None
        return f"{case.what} forgets {self.what}: {test.change.lost} answers of {test.change.n} are no longer right"


class DivergenceGate(Gate):
    """On plain texts the model is still nearly the base's: the mean divergence of the next token is within a margin."""

    name = "divergence"

    def reason(self, case: GateCase) -> str | None:
        if case.divergence is None or case.divergence <= case.margins.divergence:
            return None
        return f"{case.what} changes how plain texts go on: {self.figures(case)}"

    def figures(self, case: GateCase) -> str:
        if case.divergence is None:
            return ""
        return f"{case.divergence:.3f} nats a token from the base on plain texts, {case.margins.divergence:g} at most"
