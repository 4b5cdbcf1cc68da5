"""What a report shows of few-shot tasks: what the policy chose, pass@k, and the tasks with their predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean, median
from typing import TYPE_CHECKING

from selfedit.domains.base import BETWEEN_GUESSES
from selfedit.domains.fewshot.choices import Choices, choices_of
from selfedit.domains.fewshot.problem import demonstrations_of, input_of
from selfedit.domains.fewshot.values import Kind
from selfedit.report import Bullets, Figure, Section, Table, pass_at_k
from selfedit.report.grids import row_svg, stacked_svg
from selfedit.types import SelfEdit, Task, Trial, Value

if TYPE_CHECKING:
    from selfedit.experiments.runs.records import RunRecords

_SHOWN = 12


def sections(run: RunRecords) -> list[Section]:
    """The sections, as far as the run has come."""
    tasks = run.tasks("v")
    return [*_choices(run, tasks), *_passes(run, tasks), *_pictures(run, tasks)] if tasks else []


def _choices(run: RunRecords, tasks: Sequence[Task]) -> list[Section]:
    """How often each group and loss was chosen, with the learning rates and epochs; and what did not parse."""
    by_id = {task.id: task for task in tasks}
    columns, figures, faults = ["choice"], [], Counter[str]()
    for key, name in run.edit_sources():
        edits = run.edits(key)
        chosen: list[Choices] = []
        for edit in edits:
            try:
                chosen.append(choices_of(by_id[edit.task_id], edit))
            except ValueError as error:
                faults[f"{name}: {error}"] += 1
        columns.append(name)
        figures.append(_figures(edits, chosen))
    if not figures:
        return []
    labels = list(dict.fromkeys(label for column in figures for label in column))
    rows = tuple((label, *(column.get(label, "-") for column in figures)) for label in labels)
    told = tuple(f"{count} x {fault}" for fault, count in faults.most_common(10))
    blocks = [Table("Settings", tuple(columns), rows)]
    return [Section("What the policy chose", (*blocks, *((Bullets(told),) if told else ())))]


def _figures(edits: Sequence[SelfEdit], chosen: Sequence[Choices]) -> dict[str, str]:
    figures = {
        "edits": str(len(edits)),
        "valid": str(len(chosen)),
        "samples drawn": str(sum(edit.attempts for edit in edits)),
    }
    if not chosen:
        return figures
    flags = [name for name in chosen[0].model_dump()["data_generation"] if name.startswith("use_")]
    for flag in flags:
        share = fmean(bool(entry.model_dump()["data_generation"][flag]) for entry in chosen)
        figures[flag.removeprefix("use_").replace("_", " ")] = f"{100 * share:.0f}%"
    output = fmean(entry.training.strategy == "train_using_output_tokens" for entry in chosen)
    figures["loss on the output only"] = f"{100 * output:.0f}%"
    figures["learning rate, median"] = f"{median(entry.training.learning_rate for entry in chosen):g}"
    figures["epochs, mean"] = f"{fmean(entry.training.num_train_epochs for entry in chosen):.1f}"
    return figures


def _passes(run: RunRecords, tasks: Sequence[Task]) -> list[Section]:
    """pass@k over a task's edits. One that was trained with several seeds solves it if most of its adapters do."""
    rows = []
    for key, name in run.edit_sources():
        solves: dict[str, dict[str, list[bool]]] = {}
        for trial in run.trials(key):
            solves.setdefault(trial.task_id, {}).setdefault(trial.edit_id, []).append(_solves(trial))
        if len(solves) < len(tasks) or not run.is_complete(key):
            continue
        counts = [(len(by), sum(2 * sum(own) > len(own) for own in by.values())) for by in solves.values()]
        most = min(n for n, _ in counts)
        for k in sorted({1, most}):
            share = fmean(pass_at_k(n, c, k) for n, c in counts)
            rows.append((name, str(len(counts)), f"pass@{k}", f"{100 * share:.1f}"))
    if not rows:
        return []
    note = (
        "A task is solved when every output, or one of the guesses at it, is exactly right. pass@k: at least one of k "
        "edits solves it. An edit that could not be used solves nothing here."
    )
    return [Section("Solved", (Table("Tasks solved", ("edits", "tasks", "measure", "%"), tuple(rows), note),))]


def _solves(trial: Trial) -> bool:
    return trial.after is not None and all(answer.verdict.correct for answer in trial.after.answers)


def _pictures(run: RunRecords, tasks: Sequence[Task]) -> list[Section]:
    """Demonstrations, and for each input the predictions by the newest source beside the gold output."""
    keys = [key for key, _ in run.edit_sources() if run.trials(key)] or (["passage"] if run.trials("passage") else [])
    if not keys:
        return []
    trials: dict[str, Trial] = {}
    for trial in run.trials(keys[-1]):
        if trial.after is not None and (trial.task_id not in trials or _solves(trial)):
            trials[trial.task_id] = trial
    figures = []
    for place, task in enumerate(list(tasks)[:_SHOWN], 1):
        kind, pairs = demonstrations_of(task)
        rows = [
            row_svg((f"input {number}", f"output {number}"), (pair.input, pair.output))
            for number, pair in enumerate(pairs, 1)
        ]
        after = trials[task.id].after if task.id in trials else None
        for number, probe in enumerate(task.probes):
            guesses = after.answers[number].text.split(BETWEEN_GUESSES) if after is not None else [""]
            titles = ["prediction", *(f"guess {place}" for place in range(2, len(guesses) + 1))]
            values: list[Value | None] = [input_of(probe), *map(kind.read, guesses), _gold(kind, probe.answers)]
            rows.append(row_svg((f"test {number + 1}", *titles, "answer"), values))
        word = "solved" if task.id in trials and _solves(trials[task.id]) else "not solved"
        figures.append(Figure(f"task-{place}", stacked_svg(rows), f"{task.id}: {word}"))
    return [Section("Tasks", tuple(figures))]


def _gold(kind: Kind, answers: Sequence[str]) -> Value | None:
    return kind.read(answers[0]) if answers else None
