"""What a run came to, in a sentence and a picture."""

from __future__ import annotations

from collections.abc import Mapping

from selfedit.report import (
    ACCURACY,
    Figure,
    Interval,
    Measure,
    bootstrap_mean,
    interval_text,
    intervals,
    paired_difference,
)

Conditions = Mapping[str, list[list[float]]]
"""A value of each answer by condition, passage and question."""


def sentence(conditions: Conditions, subject: str, reference: str) -> str:
    """How often one condition answers rightly, against another on the same questions."""
    values, others = conditions[subject], conditions[reference]
    mean, other = (bootstrap_mean(each, seed=0).mean for each in (values, others))
    gain = paired_difference(values, others, seed=0)
    questions = sum(map(len, values))
    told = interval_text(gain, 100, 1, signed=True)
    within = f" ({told})" if told != "-" else ""
    return (
        f"{subject[0].upper()}{subject[1:]}: {100 * mean:.1f}% of {questions} questions right, against "
        f"{100 * other:.1f}% for {reference}; {100 * gain.mean:+.1f} points{within}, {gain.verdict}."
    )


def picture(conditions: Conditions, reference: str, measure: Measure = ACCURACY) -> Figure:
    """All conditions with their intervals, and a line at one of them."""
    estimates = {name: bootstrap_mean(values, seed=0) for name, values in conditions.items()}
    factor = measure.factor
    rows = [
        Interval(
            name,
            factor * e.mean,
            None if e.low is None else factor * e.low,
            None if e.high is None else factor * e.high,
            f"{factor * e.mean:.{measure.digits}f}",
        )
        for name, e in estimates.items()
    ]
    name = measure.column.partition(",")[0]
    title = f"{measure.words}, each condition with its 95% interval"
    chart = intervals(rows, title=title, x_label=measure.column, reference=factor * estimates[reference].mean)
    return Figure(f"conditions-{name}", chart, f"{title}; the line is at '{reference}'.")
