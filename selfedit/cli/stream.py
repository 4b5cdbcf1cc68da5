"""`selfedit watch` and `aside`, and `learn -`: learning from what comes, and what could not be learnt."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfedit.cli import learn_options, options, output
from selfedit.cli.guard import AllowFlagged, Guards, Languages, guard_settings
from selfedit.progress import make_progress
from selfedit.session import Session
from selfedit.text.harmless import one_line

if TYPE_CHECKING:
    from selfedit.stream.base import Event

_SHOWN = 40

ForgetDeleted = Annotated[
    bool,
    typer.Option(
        "--forget-deleted", help="Forget a document whose file is gone.", rich_help_panel=learn_options.STREAM
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "watch",
        epilog=options.examples("selfedit watch docs/", "selfedit watch docs/ --settle 60 --at-once 8 --json"),
    )(_watch)
    app.command("aside", epilog=options.examples("selfedit aside", "selfedit aside --retry", "selfedit aside --json"))(
        _aside
    )


def _watch(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Its documents are learnt.", show_default=False)],
    settle: learn_options.Settle = 5.0,
    at_once: learn_options.AtOnce = 16,
    forget_deleted: ForgetDeleted = False,
    edits: learn_options.Edits = None,
    format: learn_options.EditFormat = None,
    policy: learn_options.Policy = None,
    questions_per_passage: learn_options.QuestionsPerPassage = None,
    passage_tokens: learn_options.PassageTokens = None,
    max_edit_tokens: learn_options.MaxEditTokens = None,
    keep_untested: learn_options.KeepUntested = False,
    grader: learn_options.Grader = None,
    memory: learn_options.Memory = None,
    keep: learn_options.Keep = None,
    epochs: learn_options.Epochs = None,
    learning_rate: learn_options.LearningRate = None,
    rank: learn_options.Rank = None,
    batch_size: learn_options.BatchSize = None,
    guard: Guards = None,
    allow_flagged: AllowFlagged = None,
    language: Languages = None,
    json: options.Json = False,
    seed: options.Seed = None,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Learn the documents in a folder, and go on with what comes into it, until interrupted.

    What comes is collected until nothing changes any more, and learnt as `learn` does. A document that changed takes
    the place of what it said; one whose file is gone is forgotten only with --forget-deleted. What cannot be learnt is
    set aside with the reason (`selfedit aside`). Where the rules of the store allow no update now, it waits. Each
    document is learnt once, however often this is killed and begun again.
    """
    from selfedit.stream.start import StreamOptions, watch

    given = StreamOptions(settle, at_once, forget_deleted)
    writing = {
        "edits": edits,
        "format": format,
        "policy": policy,
        "questions_per_passage": questions_per_passage,
        "passage_tokens": passage_tokens,
        "max_edit_tokens": max_edit_tokens,
        "keep_untested": keep_untested or None,
        "grader": grader,
        "seed": seed,
        "memory": memory,
        "keep": keep,
        **guard_settings(guard, allow_flagged, language),
    }
    training = {"epochs": epochs, "learning_rate": learning_rate, "rank": rank, "batch_size": batch_size}
    session = Session(model, store, device, make_progress(quiet))
    settings = learn_options.settings_of(writing, training)
    watch(session, folder, given, settings, teller(json), status_line(json or quiet))


def _aside(
    retry: Annotated[
        bool, typer.Option("--retry", help="Let it be tried again, when the stream runs next; all, or these keys.")
    ] = False,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY]...", help="As listed; by default all.", show_default=False)
    ] = None,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """List what `watch` and `learn -` could not learn, and why, or let it be tried again."""
    from selfedit.stream.state import State, read_asides

    opened = Session(None, store).store
    if retry or keys:
        state = State(opened.path)
        try:
            found = state.retry(keys or ())
        finally:
            state.close()
    else:
        found = read_asides(opened.path)
    if json:
        output.print_json({"retried" if retry or keys else "aside": [asdict(each) for each in found]})
    elif retry or keys:
        output.say(f"{len(found)} are tried again when the stream runs next.")
    elif not found:
        output.say(f"Nothing was set aside in {store}.")
    else:
        rows = [(each.key[:12], each.time[:19], each.where, each.title, each.why) for each in found[-_SHOWN:]]
        output.table(("key", "time (UTC)", "where", "title", "why"), rows)
        if len(found) > _SHOWN:
            output.say(f"These are the last {_SHOWN} of {len(found)}; --json has all.")


def learn_from_stdin(
    session: Session, settings: Mapping[str, Any], settle: float, at_once: int, json: bool, quiet: bool
) -> None:
    """`selfedit learn -`."""
    from selfedit.stream.start import StreamOptions, learn_lines

    given = StreamOptions(settle, at_once)
    learn_lines(session, sys.stdin.buffer, given, settings, teller(json), status_line(json or quiet))


def teller(json: bool) -> Callable[[Event], None]:
    """Prints events: a line each, for people or as JSON."""

    def tell(event: Event) -> None:
        now = datetime.now(timezone.utc)
        if json:
            said = {"time": now.isoformat(timespec="milliseconds"), "event": event.kind, "text": event.text}
            output.print_json_line(said | dict(event.said))
        else:
            output.say(f"{now.astimezone():%H:%M:%S} {event.kind:<9} {one_line(event.text)}")
        sys.stdout.flush()

    return tell


def status_line(none: bool) -> Callable[[Event], None]:
    """Shows what is going on in one line of the terminal that is written over; nothing where there is no terminal."""
    if none or not sys.stderr.isatty():
        return lambda _: None
    shown = ""

    def status(event: Event) -> None:
        nonlocal shown
        text = f"{time.strftime('%H:%M:%S')} {one_line(event.text)}" if event.text else ""
        if text != shown:
            shown = text
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    return status
