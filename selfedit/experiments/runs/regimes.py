"""What a report says of many passages in one adapter, and of passages learnt one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from selfedit.experiments.runs.records import MEASURES, RunRecords, Value, graded, graded_by_seed, graded_trials
from selfedit.experiments.runs.stages import Stage
from selfedit.report import Block, Bullets, Figure, Measure, Section, Table, comparison_table, forgetting, heat_map
from selfedit.types import Evaluation

Passages = list[list[float]]
"""A value of each answer by passage and question."""

Matrix = list[list[float]]
"""The mean value of the answers about passage j after edit i; j up to i."""


def many_sections(run: RunRecords) -> list[Section]:
    """For each number of passages, the conditions against no update."""
    blocks: list[Block] = []
    for stage in run.stages("before"):
        if stage.regime != "many":
            continue
        sources = _sources(run.stages("trials"), stage)
        for title, measure, value in MEASURES:
            by_condition, by_seed = many_conditions(run, stage, value)
            reference = next(iter(by_condition))
            several = {name: seeds for name, seeds in by_seed.items() if len(seeds) > 1 and stage.number > 1}
            shared = [name for name in by_seed if name not in several]
            title = f"{stage.number} passages in one adapter: {title}"
            blocks.append(
                comparison_table(by_condition, reference, title=title, measure=measure, by_seed=several, shared=shared)
            )
        blocks += _unusable(run, {source: [f"many{stage.number}-{source}"] for source in sources})
    return [Section("Many passages at once", tuple(blocks))] if blocks else []


def many_conditions(
    run: RunRecords, stage: Stage, value: Value
) -> tuple[dict[str, Passages], dict[str, list[Passages]]]:
    """A value of each answer by condition, no update first: the mean over seeds, and seed by seed."""
    tasks, base = run.tasks("v")[: stage.number], run.base(str(stage))
    by_condition: dict[str, Passages] = {run.name("base"): graded(tasks, base, value)}
    by_seed = {}
    for source in _sources(run.stages("trials"), stage):
        trials, name = run.trials(f"many{stage.number}-{source}"), run.name(source)
        by_condition[name], _ = graded_trials(tasks, trials, base, value)
        by_seed[name] = graded_by_seed(tasks, trials, base, value)
    return by_condition, by_seed


def sequence_sections(run: RunRecords) -> list[Section]:
    """What was left of each passage while others were learnt after it, mean over the sequences."""
    first = [stage for stage in run.stages("before") if stage.regime == "sequential"]
    sequences = [f"sequence{stage.number}" for stage in first]
    sources = _sources(run.stages("sequence"), first[0]) if first else []
    blocks: list[Block] = []
    for title, measure, value in MEASURES:
        by_condition = {source: _matrices(run, sequences, source, value) for source in sources}
        by_condition = {source: matrices for source, matrices in by_condition.items() if matrices}
        rows = tuple(_row(run, source, matrices, measure, value) for source, matrices in by_condition.items())
        if rows:
            blocks.append(Table(f"One after another: {title}", _COLUMNS, rows, _NOTE.format(measure.words)))
            numbered = enumerate(by_condition.items(), 1)
            blocks += [_chart(run, n, source, _mean(matrices), measure) for n, (source, matrices) in numbered]
    places = range(len(run.base(f"{sequences[0]}-base"))) if sequences else ()
    blocks += _unusable(run, {s: [f"{q}-{s}-{place}" for q in sequences for place in places] for s in sources})
    return [Section("Sequential edits", tuple(blocks))] if blocks else []


def _sources(stages: Sequence[Stage], like: Stage) -> list[str]:
    """Who was compared in a regime, in the order of recording; without the model as it is."""
    alike = (str(s.source) for s in stages if (s.regime, s.number) == (like.regime, like.number))
    return [source for source in dict.fromkeys(alike) if source != "base"]


def _unusable(run: RunRecords, keys: Mapping[str, Sequence[str]]) -> list[Block]:
    """A note for each source of whose edits about some passage none could be used."""
    counts = {source: sum(len(run.get("unusable", k, list[str]) or ()) for k in own) for source, own in keys.items()}
    notes = (
        f"{run.name(source)}: nothing was learnt about {count} of the passages, for want of a usable edit."
        for source, count in counts.items()
        if count
    )
    return [Bullets(tuple(notes))] if any(counts.values()) else []


_COLUMNS = ("edits", "sequences", "no update", "right after its edit", "after the last edit", "forgotten")
_NOTE = (
    "{}: means over the passages. Forgotten is the mean fall of a passage from right after its edit to after the last "
    "one."
)


def _matrices(run: RunRecords, sequences: Sequence[str], source: str, value: Value) -> dict[str, Matrix]:
    """The matrix of each sequence that came to its end."""
    by_condition = {}
    for sequence in sequences:
        rows: Matrix = []
        while (row := run.get("sequence", f"{sequence}-{source}-{len(rows)}", tuple[Evaluation, ...])) is not None:
            rows.append([_value(evaluation, value) for evaluation in row])
        if len(rows) == len(run.base(f"{sequence}-base")):
            by_condition[sequence] = rows
    return by_condition


def _value(evaluation: Evaluation, value: Value) -> float:
    return fmean(map(value, evaluation.answers)) if evaluation.answers else 0.0


def _mean(matrices: Mapping[str, Matrix]) -> Matrix:
    size = len(next(iter(matrices.values())))
    return [[fmean(matrix[i][j] for matrix in matrices.values()) for j in range(i + 1)] for i in range(size)]


def _row(
    run: RunRecords, source: str, matrices: Mapping[str, Matrix], measure: Measure, value: Value
) -> tuple[str, ...]:
    measured = forgetting(_mean(matrices))
    base = fmean(_value(one, value) for sequence in matrices for one in run.base(f"{sequence}-base"))
    shown = (base, measured.right_after, measured.final, measured.forgetting)
    figures = ("-" if one is None else f"{measure.factor * one:.{measure.digits}f}" for one in shown)
    return run.name(source), str(len(matrices)), *figures


def _chart(run: RunRecords, number: int, source: str, mean: Matrix, measure: Measure) -> Figure:
    labels = [str(index + 1) for index in range(len(mean))]
    title = f"{run.name(source)}: each passage after each edit, {measure.column}"
    rows: list[list[float | None]] = [[*row] for row in mean]
    chart = heat_map(
        rows,
        [f"after {label}" for label in labels],
        labels,
        title=title,
        show=lambda cell: f"{measure.factor * cell:.{measure.digits}f}",
    )
    # Numbered, since a source is called what its user likes.
    return Figure(f"sequence-{number}-{measure.column.partition(',')[0]}", chart)
