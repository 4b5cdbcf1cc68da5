"""The command line. It reads options, calls the Python interface and prints; nothing else is decided here."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Annotated

import typer

from selfedit.audit import ACTOR, checked_actor
from selfedit.cli import (
    approval,
    arc,
    ask,
    audit,
    chat,
    demo,
    doctor,
    drift,
    estimate,
    feedback,
    grade,
    learn,
    lineage,
    options,
    rules,
    runs,
    serve,
    solve,
    stream,
    versions,
)
from selfedit.errors import UserError
from selfedit.text.harmless import one_line

# Nothing in this package may import torch or transformers at its start: `selfedit --help` must not wait for them.

app = typer.Typer(
    name="selfedit",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for _module in (
    learn,
    ask,
    chat,
    serve,
    versions,
    lineage,
    feedback,
    stream,
    approval,
    rules,
    audit,
    drift,
    runs,
    solve,
    arc,
    grade,
    demo,
    doctor,
    estimate,
):
    _module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"selfedit {version('selfedit')}")
        raise typer.Exit


@app.callback(epilog=options.examples("selfedit learn handbook.md", 'selfedit ask "Who founded the company?"'))
def selfedit(
    version: Annotated[
        bool, typer.Option("--version", help="Print selfedit's version.", callback=_version, is_eager=True)
    ] = False,
    actor: Annotated[
        str | None,
        typer.Option(
            "--actor",
            metavar="NAME",
            help=f"Who acts, for the audit log; by default {ACTOR} or the user's name.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """A language model reads documents, writes its own finetuning data, trains on it, and keeps what helps."""
    if actor is not None:
        os.environ[ACTOR] = checked_actor(actor)


_INTERRUPTED = "Interrupted. What was saved stays, and the same command goes on from there."


def main() -> None:
    """Run the command line: 0 is success, 2 a mistake that the user can mend, 130 Ctrl-C, 1 a fault of selfedit."""
    try:
        app(prog_name="selfedit")
    except SystemExit as ended:
        if ended.code == 130:  # What typer makes of Ctrl-C.
            _fail(_INTERRUPTED, 130)
        if ended.code == 2 and "--json" in sys.argv:  # It has said on stderr what is wrong with the command line.
            _fail("error: the command line is not one that selfedit knows; see --help", 2)
        _flush()
        raise
    except KeyboardInterrupt:
        _fail(_INTERRUPTED, 130)
    except UserError as error:
        _fail(f"error: {one_line(' '.join(str(error).split()))}", 2)
    except Exception as error:
        reason = one_line(" ".join(f"{type(error).__name__}: {error}".split()))
        _fail(f"internal error: {reason}; run again with --debug for the traceback, and report it", 1)


def _fail(line: str, code: int) -> None:
    """End the process with one line on stderr, under the traceback if the user asked for one."""
    if "--debug" in sys.argv and code != 130:
        traceback.print_exc()
    print(line, file=sys.stderr)
    if "--json" in sys.argv:
        kind = {2: "user", 130: "interrupted"}.get(code, "internal")
        print(json.dumps({"error": {"kind": kind, "message": line.removeprefix("error: ")}}, ensure_ascii=False))
    sys.exit(code)


def _flush() -> None:
    """Write out what is left, so that a reader that has gone away (`selfedit versions | head -1`) is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
