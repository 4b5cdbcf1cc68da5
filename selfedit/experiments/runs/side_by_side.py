"""Several runs on the same questions, in one table."""

from __future__ import annotations

from collections.abc import Sequence

from selfedit.errors import UserError
from selfedit.experiments.runs.overview import picture, sentence
from selfedit.experiments.runs.page import conditions, plain_names
from selfedit.experiments.runs.records import MEASURES, RunRecords, Value, is_right
from selfedit.report import Block, Page, Paragraph, Section, comparison_table


def side_by_side(runs: Sequence[RunRecords]) -> Page:
    """Every condition of every run against the first run's first one, paired by question.

    A condition without self-edits that came out the same, as no update does in all runs of a model, stands once.

    Raises:
        UserError: a run has no validation questions, or others than the first.
    """
    ids = [run.id for run in runs]
    if len(set(ids)) < len(ids):
        raise UserError(f"Two of the runs are called {max(ids, key=ids.count)}: rename a folder, to tell them apart.")
    for run in runs:
        if [task.probes for task in run.tasks("v")] != [task.probes for task in runs[0].tasks("v")]:
            raise UserError(f"Run {run.id} was asked other questions than {runs[0].id}: nothing to pair.")
        if not conditions(run)[0]:
            raise UserError(f"Run {run.id} has no answers passage by passage, or not yet: nothing to compare.")
    tables: list[Block] = []
    pictures: list[Block] = []
    for title, measure, value in MEASURES:
        values = _all_conditions(runs, value)
        reference = next(iter(values))
        pictures.append(picture(values, reference, measure))
        tables.append(comparison_table(values, reference, title=title, measure=measure))
    answered = _all_conditions(runs, is_right)
    names = list(answered)
    lead = sentence(answered, names[-1], names[0])
    graders = {run.facts.graded_by for run in runs}
    about = f"Runs {', '.join(ids)}; graded by {', '.join(sorted(graders))}."
    return Page(
        "selfedit: runs side by side", (Section("Runs side by side", (*pictures, *tables, Paragraph(about))),), lead
    )


def _all_conditions(runs: Sequence[RunRecords], value: Value) -> dict[str, list[list[float]]]:
    answered: dict[str, list[list[float]]] = {}
    for run in runs:
        plain = plain_names(run)
        for name, values in conditions(run, value)[0].items():
            if name in plain and answered.get(name) == values:
                continue
            answered[name if name in plain and name not in answered else f"{run.id}: {name}"] = values
    return answered
