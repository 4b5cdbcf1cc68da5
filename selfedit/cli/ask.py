"""`selfedit ask`: questions to a version or to the base model."""

from __future__ import annotations

from typing import Annotated

import typer

from selfedit.cli import options, output
from selfedit.errors import UserError
from selfedit.progress import make_progress
from selfedit.session import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "ask",
        epilog=options.examples(
            'selfedit ask "Who founded the company?"',
            'selfedit ask "Who founded the company?" --compare',
            'selfedit ask "Who founded it?" --topic "Lumen Harbor" --version v2',
        ),
    )(_ask)


def _ask(
    question: Annotated[str, typer.Argument(help="The question, in quotes.", show_default=False)],
    base: Annotated[bool, typer.Option("--base", help="Ask the bare base model.")] = False,
    version: Annotated[
        str | None,
        typer.Option("--version", metavar="ID", help="Ask this version, not the newest.", show_default=False),
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Show both answers, base and version.")] = False,
    topic: Annotated[
        str, typer.Option("--topic", help="What the question is about: the title of a document or passage.")
    ] = "",
    json: options.Json = False,
    seed: options.Seed = None,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Answer a question without any document in context, with the newest version unless told otherwise.

    The answer is the likeliest one, so that --seed changes nothing.
    """
    if base and (compare or version is not None):
        other = "--compare" if compare else "--version"
        raise UserError(f"--base and {other} exclude each other: leave one out.")
    session = Session(model, store, device, make_progress(quiet))
    reply = session.ask(question, version, base=base, topic=topic)
    base_answer = session.ask(question, base=True, topic=topic).answer if compare else None
    if json:
        found = {"answer": reply.answer, "version": reply.version}
        output.print_json(found if base_answer is None else {**found, "base_answer": base_answer})
    elif base_answer is None:
        output.say(reply.answer)
    else:
        output.table(("base", str(reply.version)), [(base_answer, reply.answer)])
