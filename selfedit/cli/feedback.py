"""`selfedit feedback`: what people say of answers, and the update that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfedit.cli import options, output
from selfedit.cli.guard import print_flags
from selfedit.cli.output import print_gates
from selfedit.cli.show import print_questions
from selfedit.errors import UserError
from selfedit.progress import make_progress
from selfedit.session import Session
from selfedit.store import Feedback, Store, read_feedback

if TYPE_CHECKING:
    from selfedit.learn.feedback import FeedbackResult


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "feedback",
        epilog=options.examples(
            'selfedit feedback "Who keeps the tower?" --answer "Ana Belk"',
            'selfedit feedback "Who keeps the tower?" --wrong',
            "selfedit feedback --file feedback.jsonl --learn",
            "selfedit feedback",
        ),
    )(_feedback)


def _feedback(
    question: Annotated[
        str | None, typer.Argument(metavar="[QUESTION]", help="What was asked.", show_default=False)
    ] = None,
    answer: Annotated[
        str | None, typer.Option("--answer", metavar="TEXT", help="The right answer.", show_default=False)
    ] = None,
    wrong: Annotated[bool, typer.Option("--wrong", help="It was wrong, and what is right is not known.")] = False,
    said: Annotated[str, typer.Option("--said", metavar="TEXT", help="What had been answered.")] = "",
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="JSON lines: question, answer or wrong, who.", show_default=False),
    ] = None,
    learn: Annotated[bool, typer.Option("--learn", help="Make the update now, not with the next `learn`.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what an update had that is not in force.")] = False,
    allow_flagged: Annotated[
        list[str] | None,
        typer.Option("--allow-flagged", metavar="KIND", help="Let answers through that this guard flags."),
    ] = None,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Say that an answer was wrong, or what is right. Alone: list what was said.

    The next update learns it: the answer is right then, other wordings of the question, too, and the gate `keep` sees
    to it that it stays so. Where two people disagree, the update waits for approval.
    """
    given = _given(question, answer, wrong, said, file)
    if again and not learn:
        raise UserError("--again is about --learn: give both.")
    session = Session(model, store, device, make_progress(quiet))
    stored = session.feedback(given) if given else []
    result = None
    if learn:
        settings: dict[str, Any] = {"allow_flagged": tuple(allow_flagged)} if allow_flagged else {}
        result = session.learn_feedback(again=again, **settings)
    if json:
        said_so = stored if given else session.store.feedback.all()
        output.print_json({"feedback": [asdict(each) for each in said_so], **(as_json(result) if result else {})})
        return
    for each in stored[:1] if len(stored) == 1 else ():
        output.say(f"Stored as {each.id}, said by {each.who}.")
    if len(stored) > 1:
        output.say(f"{len(stored)} stored.")
    if result is not None:
        print_result(result, store)
    elif stored:
        output.say(f"The next update learns it. Now: {options.again('feedback', '--learn', store=store)}")
    else:
        _list(session.store)


def _given(question: str | None, answer: str | None, wrong: bool, said: str, file: Path | None) -> list[Feedback]:
    if file is not None:
        if question is not None or answer is not None or wrong or said:
            raise UserError("--file holds questions and answers itself: leave the others out.")
        return read_feedback(file)
    if question is None:
        if answer is not None or wrong or said:
            raise UserError('Name the question, too: selfedit feedback "Who ...?" --answer "..."')
        return []
    if (answer is not None) == wrong:
        raise UserError('Say what is right, with --answer "...", or that the answer was wrong, with --wrong.')
    if answer is not None and not answer.strip():
        raise UserError("--answer is empty: give the right answer, or --wrong.")
    return [Feedback(question, answer or "", said)]


def _list(store: Store) -> None:
    from selfedit.learn.corrections import became

    said = became(store)
    if not said:
        output.say(f"Nothing was said of answers in {store.path}.")
        return
    rows = [(each.time[:16], each.who, each.question, each.answer or "(wrong)", state) for each, state in said]
    output.table(("when", "who", "question", "answer", "update"), rows)


def as_json(result: FeedbackResult) -> dict[str, Any]:
    """What came of feedback."""
    return {
        "versions": [version.id for version in result.versions],
        "pending": [version.id for version in result.pending],
        "rejected": [version.id for version in result.rejected],
        "reasons": list(result.reasons),
        "flags": [asdict(flag) for flag in result.flags],
        "unanswered": [asdict(each) for each in result.unanswered],
    }


def print_result(result: FeedbackResult, store: Path) -> None:
    """Say what came of feedback."""
    for version in (*result.versions, *result.pending, *result.rejected):
        print_questions(version)
        print_gates(version.gates)
    print_flags(result.flags)
    for version in result.versions:
        output.say(f"Committed version {version.id} to {store}; it is the active one.")
    for version in result.pending:
        output.say(f"{version.id} waits for approval. Next: {options.again('pending', version.id, store=store)}")
    for version, reason in zip(result.rejected, result.reasons, strict=False):
        output.say(f"No version was committed: {reason}. It is kept aside as {version.id}.")
    for reason in result.reasons[len(result.rejected) :]:
        output.say(f"No version was committed: {reason}.")
    if result.unanswered:
        output.say(f"{len(result.unanswered)} answers were only called wrong: say what is right with --answer.")
    _nothing(result)


def _nothing(result: FeedbackResult) -> None:
    parts: Sequence[Sequence[object]] = (result.versions, result.pending, result.reasons, result.flags)
    if not any(parts) and not result.unanswered:
        output.say("Nothing is new: every update has seen to it, or it waits (--again tries once more).")
