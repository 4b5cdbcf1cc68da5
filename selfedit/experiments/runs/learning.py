"""What a run's rounds learnt: the rewards, how reliable they are, and the best and worst edits."""

from __future__ import annotations

from operator import attrgetter
from statistics import fmean

from selfedit.experiments.runs.records import RoundRecord, RunRecords
from selfedit.report import (
    Block,
    EditCard,
    Figure,
    Point,
    Reply,
    Section,
    Series,
    SideBySide,
    Table,
    Values,
    distribution,
    interval_text,
    line_chart,
    scatter,
    variance_shares,
)
from selfedit.types import Task, Trial

_SHOWN = 3


def learning_sections(run: RunRecords) -> list[Section]:
    """The sections, as far as the run has come."""
    return [*_learning(run), *_reliability(run), *_examples(run)]


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
