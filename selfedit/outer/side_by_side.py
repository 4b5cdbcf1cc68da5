"""Several runs on the same questions, in one table."""

from __future__ import annotations

from collections.abc import Sequence

from selfedit.errors import UserError
from selfedit.outer.records import RunRecords
from selfedit.outer.report import conditions, plain_names
from selfedit.report import Page, Paragraph, Section, comparison_table


def side_by_side(runs: Sequence[RunRecords]) -> Page:
    """Every condition of every run against the first run's first one, paired by question.

    A condition without self-edits that came out the same, as no update does in all runs of a model, stands once.

    Raises:
        UserError: a run has no validation questions, or others than the first.
    """
    found: dict[str, list[list[float]]] = {}
    ids = [run.facts.id for run in runs]
    if len(set(ids)) < len(ids):
        raise UserError(f"Two of the runs are called {max(ids, key=ids.count)}: rename a folder, to tell them apart.")
    for run in runs:
        if [task.probes for task in run.tasks("v")] != [task.probes for task in runs[0].tasks("v")]:
            raise UserError(f"Run {run.facts.id} was asked other questions than {runs[0].facts.id}: nothing to pair.")
        own, _ = conditions(run)
        if not own:
            raise UserError(f"Run {run.facts.id} has no validation questions yet.")
        for name, graded in own.items():
            if name in plain_names(run) and found.get(name) == graded:
                continue
            found[name if name in plain_names(run) and name not in found else f"{run.facts.id}: {name}"] = graded
    graders = {str(run.facts.config["evaluation"]["grader"]) for run in runs}
    table = comparison_table(found, next(iter(found)), title="Runs side by side")
    about = f"Runs {', '.join(run.facts.id for run in runs)}; graded by {', '.join(sorted(graders))}."
    return Page("selfedit: runs side by side", (Section("Runs side by side", (Paragraph(about), table)),))
