"""A run as a page: the table first, then what is behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from statistics import fmean

from selfedit.experiments.kinds import kind_of
from selfedit.experiments.runs.overview import picture, sentence
from selfedit.experiments.runs.published import published_section, published_tables
from selfedit.experiments.runs.records import MEASURES, RoundRecord, RunRecords, Value, graded, graded_trials, is_right
from selfedit.experiments.runs.regimes import many_conditions, many_sections, sequence_sections
from selfedit.experiments.runs.stages import Source
from selfedit.report import (
    Block,
    Bullets,
    EditCard,
    Figure,
    Page,
    Paragraph,
    Point,
    Reply,
    Section,
    Series,
    SideBySide,
    Table,
    Values,
    comparison_table,
    distribution,
    interval_text,
    line_chart,
    scatter,
    variance_shares,
)
from selfedit.types import Task, Trial

_SHOWN = 3


def report_page(run: RunRecords) -> Page:
    """The whole report of one run."""
    regimes = [*many_sections(run), *sequence_sections(run)]
    one_by_one = run.facts.kind == "train" or "single" in run.facts.config["evaluation"]["regimes"]
    sections = [
        *([_result(run)] if one_by_one else ()),
        *_of_domain(run),
        *regimes,
        *_published(run),
        *_learning(run),
        *_reliability(run),
        *_examples(run),
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


def _learning(run: RunRecords) -> list[Section]:
    rounds = run.rounds()
    if not rounds:
        return []
    points: dict[str, list[Point]] = {"all edits": [], "the best of each passage": [], "no update": []}
    spread, lengths = [], []
    for record in rounds:
        rewards = [entry.reward for entry in record.rollouts if entry.reward is not None]
        points["all edits"].append(Point(record.number, fmean(rewards)))
        points["the best of each passage"].append(Point(record.number, fmean(_best_rewards(record))))
        no_update = [entry.base_reward for entry in record.rollouts if entry.base_reward is not None]
        if no_update:
            points["no update"].append(Point(record.number, fmean(no_update)))
        spread.append(Values(f"round {record.number}", tuple(rewards)))
        lengths += [Point(len(e.edit.text), e.reward) for e in record.rollouts if e.reward is not None]
    series = [Series(name, tuple(line)) for name, line in points.items() if line]
    reward = str(run.facts.config["outer"]["reward"])
    rows = tuple(
        (
            str(record.number),
            str(len(record.rollouts)),
            str(sum(entry.reward is None for entry in record.rollouts)),
            str(sum(entry.kept for entry in record.rollouts)),
            f"{record.policy_losses[0]:.3f} to {record.policy_losses[-1]:.3f}" if record.policy_losses else "-",
            record.note or "-",
        )
        for record in rounds
    )
    columns = ("round", "edits", "without adapter", "learnt from", "policy's loss", "note")
    return [
        Section(
            "Learning",
            (
                Table("Rounds", columns, rows),
                Figure("reward", line_chart(series, title="Reward by round", x_label="round", y_label=reward)),
                Figure("spread", distribution(spread, title="Reward of every edit", x_label=reward)),
                Figure(
                    "length",
                    scatter(lengths, title="Reward and length", x_label="characters of the edit", y_label=reward),
                ),
            ),
        )
    ]


def _best_rewards(record: RoundRecord) -> list[float]:
    best: dict[str, float] = {}
    for entry in record.rollouts:
        if entry.reward is not None:
            best[entry.edit.task_id] = max(entry.reward, best.get(entry.edit.task_id, entry.reward))
    return list(best.values())


def _reliability(run: RunRecords) -> list[Section]:
    """How much of a reward's variance is about the edit: by accuracy, and by the gold answers' log-probability."""
    trials = [trial for record in run.rounds() for trial in run.trials(f"r{record.number}")]
    rows = []
    for name, value in (
        ("accuracy", attrgetter("accuracy")),
        ("log-probability of the gold answers", attrgetter("gold_logprob")),
    ):
        by_context: dict[str, dict[str, list[float]]] = {}
        for trial in trials:
            if trial.after is not None:
                by_edit = by_context.setdefault(trial.edit_id.partition(".")[0] + trial.task_id, {})
                by_edit.setdefault(trial.edit_id, []).append(value(trial.after))
        try:
            shares = variance_shares([list(by_edit.values()) for by_edit in by_context.values()])
        except ValueError:
            return []
        icc = shares.icc
        rows.append(
            (
                name,
                str(shares.n_contexts),
                f"{100 * icc.mean:.0f}%",
                interval_text(icc, 100, 0),
                f"{100 * shares.reliability_of_mean:.0f}%",
                f"{100 * shares.tie_share:.0f}%",
            )
        )
    columns = (
        "reward",
        "passages",
        "between edits, one seed",
        "its 95% interval, %",
        "mean over seeds",
        "pairs that tie",
    )
    note = "The share of a reward's variance within a passage that lies between edits and not between training seeds."
    return [Section("How reliable is the reward?", (Table("Reliability", columns, tuple(rows), note),))]


def _examples(run: RunRecords) -> list[Section]:
    blocks: list[Block] = []
    for record in run.rounds()[-1:]:
        tasks = {task.id: task for task in run.tasks(f"r{record.number}")}
        # The reward is a mean over training seeds; the answers are those of the first that came out sound.
        trials = {t.edit_id: t for t in reversed(run.trials(f"r{record.number}")) if t.after is not None}
        seeds = int(run.facts.config["outer"]["training_seeds"])
        mean = f", mean of {seeds} seeds" if seeds > 1 else ""
        spans = []
        for task in tasks.values():
            own = [e for e in record.rollouts if e.edit.task_id == task.id and e.reward is not None]
            own.sort(key=lambda entry: entry.reward or 0.0)
            if len(own) > 1:
                spans.append(((own[-1].reward or 0.0) - (own[0].reward or 0.0), task, own[-1], own[0]))
        spans.sort(key=lambda span: -span[0])
        for _, task, best, worst in spans[:_SHOWN]:
            cards = [
                EditCard(
                    f"{name}, reward {entry.reward:.3f}{mean}",
                    entry.edit.text,
                    _replies(task, trials.get(entry.edit.id)),
                )
                for name, entry in (("Best", best), ("Worst", worst))
            ]
            alike = sum(other.title == task.title for other in tasks.values()) > 1
            title = f"{task.title} ({task.id})" if alike else task.title or task.id
            blocks.append(SideBySide(cards[0], cards[1], title))
    return [Section("Best and worst edits of the last round", tuple(blocks))] if blocks else []


def _replies(task: Task, trial: Trial | None) -> tuple[Reply, ...]:
    if trial is None or trial.after is None:
        return ()
    return tuple(
        Reply(probe.question, probe.answers[0], answer.text, answer.verdict.correct)
        for probe, answer in zip(task.probes, trial.after.answers, strict=True)
    )


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
