"""A run as a page: the table first, then what is behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from selfedit.experiments.kinds import kind_of
from selfedit.experiments.runs.learning import learning_sections
from selfedit.experiments.runs.overview import picture, sentence
from selfedit.experiments.runs.published import published_section, published_tables
from selfedit.experiments.runs.records import MEASURES, RunRecords, Value, graded, graded_trials, is_right
from selfedit.experiments.runs.regimes import many_conditions, many_sections, sequence_sections
from selfedit.experiments.runs.stages import Source
from selfedit.report import Block, Bullets, Page, Paragraph, Section, Table, comparison_table


def report_page(run: RunRecords) -> Page:
    """The whole report of one run."""
    regimes = [*many_sections(run), *sequence_sections(run)]
    one_by_one = run.facts.kind == "train" or "single" in run.facts.config["evaluation"]["regimes"]
    sections = [
        *([_result(run)] if one_by_one else ()),
        *_of_domain(run),
        *regimes,
        *_published(run),
        *learning_sections(run),
        _facts(run),
    ]
    return Page(f"selfedit: {run.id}", tuple(sections), _lead(run))


def _lead(run: RunRecords) -> str:
    """One sentence on what came out."""
    answered, _ = conditions(run)
    base = run.name("base")
    if len(answered) < 2:
        unfinished = run.facts.status != "finished"
        return "This run is unfinished: there is nothing to compare yet." if unfinished else _LEAD_WITHOUT
    writers = [name for _, name in run.edit_sources() if name in answered]
    subject = (writers or list(answered))[-1]
    reference = writers[0] if writers and writers[0] != subject else base
    return sentence(answered, subject, reference)


_LEAD_WITHOUT = "Passages were not compared one by one; what was learnt together stands below."


def _of_domain(run: RunRecords) -> list[Section]:
    """What only the run's domain knows to show."""
    return kind_of(str(run.facts.config["domain"])).sections(run)


def plain_names(run: RunRecords) -> set[str]:
    """What conditions that need no self-edit are called."""
    return {run.name(key) for key in ("base", "in-context", "passage")}


def _published(run: RunRecords) -> list[Section]:
    """Published figures beside ours, where the configuration names some."""
    name = str(run.facts.config.get("published", ""))
    if name not in published_tables():
        return []
    answered, _ = conditions(run)
    ours: dict[str, Mapping[str, list[list[float]]]] = {"": answered} if answered else {}
    for stage in run.stages("before"):
        if stage.regime == "many":
            ours[f"{stage.number} passages"] = many_conditions(run, stage, is_right)[0]
    return [published_section(name, run.facts.config, ours)]


def trained_policies(run: RunRecords) -> list[str]:
    """What conditions are called whose edits a policy wrote that was trained: one for all passages."""
    sources = ((Source.parse(key), name) for key, name in run.edit_sources())
    return [name for source, name in sources if source is not None and source.number > 0]


def conditions(run: RunRecords, value: Value = is_right) -> tuple[dict[str, list[list[float]]], list[str]]:
    """A value of the answers to the validation questions by condition, and a word on passages without an adapter."""
    tasks = run.tasks("v")
    base = run.base("base")
    answered: dict[str, list[list[float]]] = {}
    notes: list[str] = []
    if not tasks or not base:
        return answered, notes
    answered[run.name("base")] = graded(tasks, base, value)
    if evaluations := run.base("in-context"):
        answered[run.name("in-context")] = graded(tasks, evaluations, value)
    for key, name in (("passage", run.name("passage")), *run.edit_sources()):
        trials = run.trials(key)
        if not run.is_complete(key):
            continue  # still under way
        answered[name], missing = graded_trials(tasks, trials, base, value)
        if missing:
            cases = f"{missing} case{'s' if missing > 1 else ''}"
            notes.append(f"{name}: in {cases} no edit could be used, and the model answered as it was.")
    return answered, notes


def _result(run: RunRecords) -> Section:
    answered, notes = conditions(run)
    # Against no update, and against the first edits: what reinforcement learning is meant to improve.
    references = [run.name("base"), *[name for _, name in run.edit_sources() if name in answered][:1]]
    blocks: list[Block] = []
    if len(answered) > 1:
        by_measure = [(title, measure, conditions(run, value)[0]) for title, measure, value in MEASURES]
        blocks += [picture(values, references[0], measure) for _, measure, values in by_measure]
        blocks += [
            comparison_table(
                values,
                reference,
                title=f"{title}, against '{reference}'",
                measure=measure,
                shared=[name for name in trained_policies(run) if name in values],
            )
            for title, measure, values in by_measure
            for reference in references
        ]
    else:
        blocks.append(Paragraph("No validation passages were asked, or they are still under way."))
    blocks.append(Paragraph(f"Graded by '{run.facts.graded_by}'. docs/graders.md says how far to trust it."))
    if notes:
        blocks.append(Bullets(tuple(notes)))
    return Section("Result", tuple(blocks))


def _facts(run: RunRecords) -> Section:
    facts = run.facts
    rows = [
        ("status", facts.status),
        ("begun", facts.created),
        ("seconds of work", f"{facts.seconds:.0f}"),
        ("model", f"{facts.model.name} ({facts.model.fingerprint[:12]})"),
        ("graded by", run.facts.graded_by),
        ("precision", facts.precision or "not recorded"),
        *(_hashed(key, value) for key, value in facts.hashes.items()),
        *_flat(facts.config),
        *((f"version of {name}", version) for name, version in facts.software.items()),
    ]
    return Section("What it was made of", (Table("Settings", ("key", "value"), tuple(rows)),))


def _hashed(key: str, value: str) -> tuple[str, str]:
    """What a run hangs on: the hash of a file, or an identity."""
    return (f"sha256 of {key}", value[:16]) if len(value) == 64 else (f"identity of {key}", value)


def _flat(config: Mapping[str, object], prefix: str = "") -> Sequence[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", str(value)))
    return rows
