"""The gate on drift: on a fixed set of prompts a version answers as the base does, within the limits of the rules."""

from __future__ import annotations

from selfedit.gates.base import Gate, GateCase


class DriftGate(Gate):
    """Looks at the version as it is asked. Each limit that is given has to hold; without any, nothing is asked."""

    name = "drift"

    def reason(self, case: GateCase) -> str | None:
        over = [f"{name} {value:.3g}, {most:g} at most" for name, value, most in _measured(case) if value > most]
        return f"{case.what} drifts from the base: {'; '.join(over)}" if over else None

    def figures(self, case: GateCase) -> str:
        return "; ".join(f"{name} {value:.3g}, {most:g} at most" for name, value, most in _measured(case))


def _measured(case: GateCase) -> list[tuple[str, float, float]]:
    """Each limit that is given: its name, what was measured, and the most that may be."""
    figures = {each.of: each for each in case.drift}
    base, now = figures.get("base"), figures.get("routed")
    if base is None or now is None:
        return []
    limits = case.drift_limits
    values = (
        ("divergence", now.divergence, limits.divergence),
        ("change of the share declined", abs(now.declined - base.declined), limits.declined),
        ("relative change of the length", abs(now.words / base.words - 1) if base.words else 0.0, limits.length),
    )
    # What cannot be measured cannot be within a limit.
    return [(name, float("inf") if value is None else value, most) for name, value, most in values if most is not None]
