"""`selfedit learn`: the main job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfedit.cli import options, output
from selfedit.cli.feedback import as_json as feedback_json
from selfedit.cli.feedback import print_result as print_feedback
from selfedit.cli.guard import AllowFlagged, Guards, Languages, guard_settings, print_flags
from selfedit.cli.learn_options import (
    Again,
    AtOnce,
    BatchSize,
    Budget,
    EditFormat,
    Edits,
    EditsFrom,
    Epochs,
    Fresh,
    From,
    Grader,
    Keep,
    KeepUntested,
    LearningRate,
    MaxEditTokens,
    Memory,
    PassageTokens,
    Paths,
    Policy,
    Questions,
    QuestionsPerPassage,
    Rank,
    Settle,
    Temperature,
    TopP,
    settings_of,
)
from selfedit.cli.output import print_gates
from selfedit.errors import UserError
from selfedit.estimate import MAX_HOURS
from selfedit.learn.budget import parse_budget
from selfedit.progress import make_progress
from selfedit.session import Session
from selfedit.store import BASE

if TYPE_CHECKING:
    from selfedit.learn.run import LearnResult

_MAX_ROWS = 24


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "learn",
        epilog=options.examples(
            "selfedit learn handbook.md",
            "selfedit learn docs/ --questions questions.jsonl --edits 4",
            "selfedit learn docs/ --budget 30m",
            "fetch-news | selfedit learn - --json",
            "selfedit learn paper.pdf --format rewrite --epochs 5 --model Qwen/Qwen2.5-0.5B-Instruct",
        ),
    )(_learn)


def _learn(
    paths: Paths,
    edits: Edits = None,
    format: EditFormat = None,
    policy: Policy = None,
    edits_from: EditsFrom = None,
    questions: Questions = None,
    questions_per_passage: QuestionsPerPassage = None,
    passage_tokens: PassageTokens = None,
    budget: Budget = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    max_edit_tokens: MaxEditTokens = None,
    grader: Grader = None,
    epochs: Epochs = None,
    learning_rate: LearningRate = None,
    rank: Rank = None,
    batch_size: BatchSize = None,
    keep_untested: KeepUntested = None,
    memory: Memory = None,
    from_: From = None,
    fresh: Fresh = False,
    keep: Keep = None,
    again: Again = False,
    guard: Guards = None,
    allow_flagged: AllowFlagged = None,
    language: Languages = None,
    settle: Settle = 5.0,
    at_once: AtOnce = 16,
    yes: Annotated[bool, typer.Option("--yes", help="Also if it takes more than 12 hours by the estimate.")] = False,
    json: options.Json = False,
    seed: options.Seed = None,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Learn documents on top of what is known, and commit a version if gates let it through.

    The model writes self-edits about each passage and trains a small adapter on them. The gates ask what is new, what
    was learnt before and what everybody knows, before and after. A document that changed takes the place of what it
    said before; one that is known as it is, is left out. Interrupted, the same command goes on. With - it learns from
    JSON lines on standard input: {"title", "text"}, questions about those, and feedback.
    """
    writing = {
        "edits": edits,
        "format": format,
        "policy": policy,
        "edits_from": edits_from,
        "questions": questions,
        "questions_per_passage": questions_per_passage,
        "passage_tokens": passage_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "max_edit_tokens": max_edit_tokens,
        "grader": grader,
        "seed": seed,
        "keep_untested": keep_untested,
        "memory": memory,
        "keep": keep,
        "again": again or None,
        "budget": parse_budget(budget) if budget is not None else None,
        **guard_settings(guard, allow_flagged, language),
    }
    training = {"epochs": epochs, "learning_rate": learning_rate, "rank": rank, "batch_size": batch_size}
    session = Session(model, store, device, make_progress(quiet))
    settings = settings_of(writing, training)
    if fresh and from_ is not None:
        raise UserError("--from and --fresh exclude each other: leave one out.")
    if _is_stdin(paths, writing, fresh or from_ is not None):
        from selfedit.cli.stream import learn_from_stdin

        learn_from_stdin(session, settings, settle, at_once, json, quiet)
        return
    parent = BASE if fresh else from_
    result = session.learn(paths, parent=parent, max_hours=None if yes else MAX_HOURS, **settings)
    if json:
        output.print_json(as_json(result, session.model_name, store))
        return
    if not result.tasks:
        print_flags(result.flags)
        output.say(f"No version was committed: {result.reason}.")
    else:
        output.table(*_accuracies(result), totals=True)
        print_summary(result, store, model)
    if result.feedback is not None:
        output.say()
        output.say("What people said of answers:")
        print_feedback(result.feedback, store)


def _is_stdin(paths: Sequence[Path], writing: dict[str, Any], parent: bool) -> bool:
    """Whether documents come on standard input. Raises UserError for what does not go with that."""
    if Path("-") not in paths:
        return False
    if len(paths) > 1:
        raise UserError("- stands for standard input, and goes with no other file: learn those by themselves.")
    apart = [name for name in ("questions", "edits_from", "again", "budget") if writing[name] is not None]
    if apart or parent:
        option = f"--{apart[0].replace('_', '-')}" if apart else "--from or --fresh"
        raise UserError(f"{option} is about all documents at once, and does not go with -: leave it out.")
    return True


def as_json(result: LearnResult, model: str, store: Path) -> dict[str, Any]:
    """What `learn --json` prints."""
    return {
        "version": result.version.id if result.version else None,
        "reason": result.reason,
        "parent": result.version.parent if result.version else None,
        "memory": result.version.knowledge.memory if result.version else None,
        "rejected": result.rejected.id if result.rejected else None,
        "pending": result.pending.id if result.pending else None,
        "gates": [asdict(figure) for figure in result.figures],
        "already_known": list(result.known),
        "flags": [asdict(flag) for flag in result.flags],
        "passages": len(result.tasks),
        "edits": len(result.rollouts),
        "usable_edits": _usable(result),
        "kept_edits": sum(rollout.kept for rollout in result.rollouts),
        "questions": _questions(result),
        "questions_dropped": result.probes_dropped,
        "probe_source": result.probe_source,
        "base_accuracy": output.accuracy(result.before),
        "adapted_accuracy": output.accuracy(result.after),
        "seconds": round(result.seconds, 2),
        "feedback": feedback_json(result.feedback) if result.feedback is not None else None,
        "store": str(store),
        "model": model,
    }


def print_summary(result: LearnResult, store: Path, model: str | None) -> None:
    """Say what came of a run: who asked, what became of the self-edits, and what to do next."""
    asked_by = output.ASKED_BY[result.probe_source]
    if result.probe_source == "model":
        asked_by += f": {_questions(result)} kept, {result.probes_dropped} dropped"
        asked_by += " because their answer was not in the passage" if result.probes_dropped else ""
    fates = _fates(result)
    output.say()
    output.say(f"Questions  {_questions(result)}, asked without the text; by {asked_by}")
    output.say(f"Self-edits {len(result.rollouts)} written: " + ", ".join(f"{n} {fate}" for fate, n in fates.items()))
    if result.known:
        output.say(f"Left out   {len(result.known)} documents that are known as they are (--again learns them anew)")
    print_flags(result.flags)
    print_gates(result.figures)
    output.say(f"Took       {result.seconds:.1f} s")
    output.say()
    if result.pending is not None:
        output.say("It passed, and the rules of this store say that a person has to approve it. Next:")
        output.say("  " + options.again("pending", result.pending.id, store=store))
        return
    if result.version is None:
        output.say(f"No version was committed: {result.reason}.")
        aside = f" What was trained is kept aside as {result.rejected.id}." if result.rejected else ""
        output.say(f"Nothing was changed.{aside} More --edits, another --format or more --epochs may help.")
        return
    scale = f", at {result.version.scale:.0%} of its strength" if result.version.scale < 1 else ""
    on = f", on top of {result.version.parent}" if result.version.parent else ""
    output.say(f"Committed version {result.version.id} to {store}{on}{scale}; it is the active one. Next:")
    first = next((probe.question for task in result.tasks for probe in task.probes), "...")
    output.say("  " + options.again("ask", first, "--compare", store=store, model=model))
    output.say("  " + options.again("show", result.version.id, store=store))


def _accuracies(result: LearnResult) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Base and adapted accuracy by passage, or by document where there are many, and in total."""
    by_document = len(result.tasks) > _MAX_ROWS
    groups: dict[str, list[int]] = {}
    for index, task in enumerate(result.tasks):
        groups.setdefault(task.id.rpartition(".")[0] if by_document else task.id, []).append(index)
    rows = [_row(_title(result, indices, by_document), result, indices) for indices in groups.values()]
    every = range(len(result.tasks))
    columns = ("document" if by_document else "passage", "questions", "base", "adapted")
    return columns, [*rows, _row("in total", result, every)]


def _title(result: LearnResult, indices: Sequence[int], by_document: bool) -> str:
    """A passage's title; of several passages of one title, with its place among them."""
    task = result.tasks[indices[0]]
    if by_document:
        return task.title.split(" - ")[0]
    alike = [other.id for other in result.tasks if other.title == task.title]
    return task.title if len(alike) == 1 else f"{task.title} ({alike.index(task.id) + 1})"


def _row(title: str, result: LearnResult, indices: Sequence[int]) -> Sequence[str]:
    before = [result.before[index] for index in indices]
    after = [result.after[index] for index in indices] if result.after else []
    asked = sum(len(evaluation.answers) for evaluation in before)
    return title, str(asked), output.percent(output.accuracy(before)), output.percent(output.accuracy(after))


def _questions(result: LearnResult) -> int:
    return sum(len(evaluation.answers) for evaluation in result.before)


def _usable(result: LearnResult) -> int:
    return sum(rollout.failure is None for rollout in result.rollouts)


def _fates(result: LearnResult) -> dict[str, int]:
    """What became of the self-edits, each counted once."""
    fates = Counter(
        "kept" if rollout.kept else rollout.failure or "not better than the others or the base model"
        for rollout in result.rollouts
    )
    return {"kept": fates.pop("kept", 0), **dict(fates.most_common())}
