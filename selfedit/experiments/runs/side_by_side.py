"""Several runs on the same questions, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from selfedit.errors import UserError
from selfedit.experiments.runs.overview import picture, sentence
from selfedit.experiments.runs.page import conditions, plain_names, trained_policies
from selfedit.experiments.runs.records import MEASURES, RunRecords, Value, is_right
from selfedit.report import Block, Measure, Page, Paragraph, Section, Table, comparison_table


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
        trained = {f"{run.id}: {name}" for run in runs for name in trained_policies(run)} & set(values)
        shared = [name for name in values if name in trained]
        tables.append(comparison_table(values, reference, title=title, measure=measure, shared=shared))
        if _differ_in_seed_alone(runs):
            tables.append(_over_seeds(runs, title, measure, value))
    answered = _all_conditions(runs, is_right)
    names = list(answered)
    lead = sentence(answered, names[-1], names[0])
    graders = {run.facts.graded_by for run in runs}
    about = f"Runs {', '.join(ids)}; graded by {', '.join(sorted(graders))}."
    return Page(
        "selfedit: runs side by side", (Section("Runs side by side", (*pictures, *tables, Paragraph(about))),), lead
    )


def _differ_in_seed_alone(runs: Sequence[RunRecords]) -> bool:
    """Whether the runs are one experiment with several seeds."""
    configs = [{key: value for key, value in run.facts.config.items() if key != "seed"} for run in runs]
    seeds = {run.facts.config["seed"] for run in runs}
    return len(seeds) == len(runs) and all(config == configs[0] for config in configs)


def _over_seeds(runs: Sequence[RunRecords], title: str, measure: Measure, value: Value) -> Table:
    """What all runs have, each run a seed: what another seed would give counts in the intervals."""
    found = [conditions(run, value)[0] for run in runs]
    by_seed = {name: [run[name] for run in found] for name in found[0] if all(name in run for run in found)}
    means = {
        name: [[fmean(answers) for answers in zip(*passages, strict=True)] for passages in zip(*seeds, strict=True)]
        for name, seeds in by_seed.items()
    }
    untrained = {runs[0].name(key) for key in ("base", "in-context")}
    several = {name: seeds for name, seeds in by_seed.items() if name not in untrained}
    title = f"{title}, over {len(runs)} seeds"
    return comparison_table(means, next(iter(means)), title=title, measure=measure, by_seed=several)


def _all_conditions(runs: Sequence[RunRecords], value: Value) -> dict[str, list[list[float]]]:
    answered: dict[str, list[list[float]]] = {}
    for run in runs:
        plain = plain_names(run)
        for name, values in conditions(run, value)[0].items():
            if name in plain and answered.get(name) == values:
                continue
            answered[name if name in plain and name not in answered else f"{run.id}: {name}"] = values
    return answered
