"""What a report says of many passages in one adapter, and of passages learnt one after another."""

from __future__ import annotations

import re
from statistics import fmean

from selfedit.outer.records import RunRecords, graded, graded_trials
from selfedit.report import Figure, Section, Table, comparison_table, forgetting, heat_map
from selfedit.types import Evaluation

_MANY = re.compile(r"many(\d+)-base")
_SEQUENCE = re.compile(r"sequence(\d+)-base")


def many_sections(run: RunRecords) -> list[Section]:
    """For each number of passages, the conditions against no update."""
    tables = []
    for key in run.keys("before"):
        if not (match := _MANY.fullmatch(key)):
            continue
        count = int(match[1])
        tasks = run.tasks("v")[:count]
        found = {"no update": graded(tasks, run.base(key))}
        for trial_key in run.keys("trials"):
            source = trial_key.removesuffix(".0").removeprefix(f"many{count}-")
            if trial_key == f"many{count}-{source}.0":
                found[source], _ = graded_trials(tasks, run.trials(f"many{count}-{source}"), run.base(key))
        tables.append(comparison_table(found, "no update", title=f"{len(tasks)} passages in one adapter"))
    return [Section("Many passages at once", tuple(tables))] if tables else []


def sequence_sections(run: RunRecords) -> list[Section]:
    """The mean matrix over sequences: accuracy on passage j (column) after edit i (row), and what was forgotten."""
    matrices, bases = [], []
    for key in run.keys("before"):
        if not (match := _SEQUENCE.fullmatch(key)):
            continue
        rows: list[list[float]] = []
        while (row := run.get("sequence", f"sequence{match[1]}-{len(rows)}", tuple[Evaluation, ...])) is not None:
            rows.append([evaluation.accuracy for evaluation in row])
        if len(rows) == len(run.base(key)):
            matrices.append(rows)
            bases.append(fmean(evaluation.accuracy for evaluation in run.base(key)))
    if not matrices:
        return []
    size = len(matrices[0])
    mean = [[fmean(matrix[i][j] for matrix in matrices) for j in range(i + 1)] for i in range(size)]
    shown: list[list[float | None]] = [[*row, *[None] * (size - len(row))] for row in mean]
    measured = forgetting(mean)
    forgotten = measured.forgetting
    facts = (
        ("sequences", str(len(matrices))),
        ("no update, mean over passages", f"{100 * fmean(bases):.1f}%"),
        ("right after its edit", f"{100 * measured.right_after:.1f}%"),
        ("after the last edit, mean over passages", f"{100 * measured.final:.1f}%"),
        ("forgotten", "-" if forgotten is None else f"{100 * forgotten:.1f} points"),
    )
    labels = [str(index + 1) for index in range(size)]
    chart = heat_map(
        shown, [f"after {label}" for label in labels], labels, title="Accuracy on each passage after each edit"
    )
    note = "Forgotten is the mean fall of a passage's accuracy from right after its edit to after the last one."
    table = Table("One after another", ("figure", "value"), facts, note)
    return [Section("Sequential edits", (table, Figure("sequence", chart)))]
