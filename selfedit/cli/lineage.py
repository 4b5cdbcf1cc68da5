"""`selfedit use`, `rollback`, `diff`, `forget` and `consolidate`: what a store knows, moved, compared and changed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfedit.cli import options, output
from selfedit.cli.output import print_gates
from selfedit.memory import MEMORIES
from selfedit.progress import make_progress
from selfedit.session import Session
from selfedit.store import BASE

if TYPE_CHECKING:
    from selfedit.learn.change import Change, Difference
    from selfedit.types import Answer, Learnt

_SHOWN = 40


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("use", epilog=options.examples("selfedit use v2", "selfedit use base"))(_use)
    app.command("rollback", epilog=options.examples("selfedit rollback", "selfedit rollback 3"))(_rollback)
    app.command("diff", epilog=options.examples("selfedit diff v1 v2", "selfedit diff base v3 --no-ask"))(_diff)
    app.command("forget", epilog=options.examples("selfedit forget handbook.md"))(_forget)
    app.command(
        "consolidate", epilog=options.examples("selfedit consolidate", "selfedit consolidate --keep questions.jsonl")
    )(_consolidate)


def _use(
    id: Annotated[str, typer.Argument(metavar="ID", help="A version, or 'base'.", show_default=False)],
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Make a version the active one: `ask` answers by it, and the next `learn` goes on from it.

    Nothing is lost: every other version stays, and answers as before when it is used again.
    """
    Session(None, store).use(None if id == BASE else id)
    _say_active(id, json)


def _rollback(
    steps: Annotated[int, typer.Argument(metavar="[N]", help="How many versions back.")] = 1,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Go back to the version that the active one builds on, or further; in the end to the base."""
    _say_active(Session(None, store).rollback(steps) or BASE, json)


def _diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A version, or 'base'.", show_default=False)],
    after: Annotated[str, typer.Argument(metavar="B", help="Another.", show_default=False)],
    no_ask: Annotated[bool, typer.Option("--no-ask", help="Do not load the model to compare answers.")] = False,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Say what one version knows and the other does not, and which answers about the rest changed."""
    session = Session(model, store, device, make_progress(quiet))
    _print_difference(session.diff(before, after, ask=not no_ask), before, after, json)


def _forget(
    document: Annotated[
        str, typer.Argument(metavar="DOCUMENT", help="Its title, path or file name.", show_default=False)
    ],
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Make a version without a document, whose weights never depended on it.

    Earlier versions still know it; they stay in the store.
    """
    _print_change(Session(model, store, device, make_progress(quiet)).forget(document), store, json)


def _consolidate(
    memory: Annotated[str, typer.Option("--memory", help=f"One of {', '.join(MEMORIES)}.")] = "joint",
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="FILE", help="Questions that are to stay right.")
    ] = None,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Turn all that the active version knows into one adapter, if the gates let it: some knowledge may be lost."""
    session = Session(model, store, device, make_progress(quiet))
    _print_change(session.consolidate(memory, keep=keep), store, json)


def _say_active(id: str, json: bool) -> None:
    if json:
        output.print_json({"active": id})
    else:
        output.say("The base answers; no version is active." if id == BASE else f"{id} is the active version.")


def _print_change(change: Change, store: Path, json: bool) -> None:
    made = change.version or change.rejected or change.pending
    if json:
        output.print_json(
            {
                "version": change.version.id if change.version else None,
                "rejected": change.rejected.id if change.rejected else None,
                "pending": change.pending.id if change.pending else None,
                "reason": change.reason,
                "passages": len(made.knowledge.learnt) if made else 0,
                "gates": [asdict(figure) for figure in (made.gates if made else ())],
            }
        )
        return
    if made is not None:
        print_gates(made.gates)
    if change.version is None:
        aside = f" It is kept aside as {change.rejected.id}." if change.rejected else ""
        output.say(f"No version was committed: {change.reason}.{aside}")
        return
    knowledge = change.version.knowledge
    output.say(
        f"Committed version {change.version.id} to {store}: {len(knowledge.learnt)} passages of "
        f"{len(knowledge.documents)} documents in {len(knowledge.adapters)} adapters. It is the active one."
    )


def _print_difference(difference: Difference, before: str, after: str, json: bool) -> None:
    answers, questions = difference.answers, {probe.id: probe for probe in difference.probes}
    changed = [
        (questions[old.probe_id].question, old, new)
        for old, new in zip(answers.before, answers.after, strict=True)
        if old.text != new.text
    ]
    if json:
        rows: list[dict[str, Any]] = [
            {
                "question": question,
                before: {"answer": old.text, "correct": old.verdict.correct},
                after: {"answer": new.text, "correct": new.verdict.correct},
            }
            for question, old, new in changed
        ]
        passages = {name: _named(getattr(difference, name)) for name in ("come", "gone", "anew")}
        output.print_json({**passages, "questions": answers.count, "changed": rows})
        return
    for sign, items, word in (
        ("+", difference.come, "come"),
        ("-", difference.gone, "gone"),
        ("~", difference.anew, "trained anew"),
    ):
        for name in _named(items)[:_SHOWN]:
            output.say(f"{sign} {name} ({word})")
        if len(items) > _SHOWN:
            output.say(f"{sign} and {len(items) - _SHOWN} more passages ({word})")
    output.say(f"{len(changed)} answers of {answers.count} about what both know differ.")
    if changed:
        marks = [
            (
                question,
                f"{output.mark(old.verdict.correct)} {old.text}",
                f"{output.mark(new.verdict.correct)} {new.text}",
            )
            for question, old, new in changed[:_SHOWN]
        ]
        output.table(("question", before, after), marks)


def _marked(answer: Answer) -> str:
    return f"{output.mark(answer.verdict.correct)} {answer.text}"


def _named(items: tuple[Learnt, ...]) -> list[str]:
    return [f"{item.task.title}: {item.task.passage[:60]}" for item in items]
