"""`selfedit versions`, `show` and `export`: what there is in a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from selfedit.cli import options, output
from selfedit.cli.show import as_json, print_version
from selfedit.progress import make_progress
from selfedit.session import Session
from selfedit.types import Version

_Id = Annotated[str, typer.Argument(metavar="ID", help="Which version, such as v1.", show_default=False)]
_OptionalId = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="Which version; by default the newest.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("versions", epilog=options.examples("selfedit versions", "selfedit versions --json"))(_versions)
    app.command("show", epilog=options.examples("selfedit show", "selfedit show v1 --json"))(_show)
    app.command(
        "export", epilog=options.examples("selfedit export v1 adapter/", "selfedit export v1 weights/ --merged")
    )(_export)


def _versions(
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """List the versions in the store, oldest first; with --model only those of that base model."""
    versions = [version for version in Session(None, store).versions() if model is None or version.base.name == model]
    if json:
        output.print_json({"versions": [_head(version) for version in versions]})
    elif not versions:
        output.say(f"No version yet in {store}. Make one: {options.again('learn', 'FILE', store=store)}")
    else:
        columns = ("id", "created", "documents", "questions", "base", "adapted", "model")
        output.table(columns, [_row(version) for version in versions])


def _show(
    id: _OptionalId = None,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show all that made a version: settings, self-edits, questions with both answers, and the training loss."""
    version = Session(None, store).show(id)
    if json:
        output.print_json(as_json(version))
    else:
        print_version(version)


def _export(
    id: _Id,
    target: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.", show_default=False)],
    merged: Annotated[bool, typer.Option("--merged", help="Full weights instead of a PEFT folder.")] = False,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write a version into a folder, as a PEFT adapter or merged into full weights."""
    session = Session(model, store, device, make_progress(quiet))
    folder = session.export(id, target, merged=merged)
    if json:
        output.print_json({"version": id, "folder": str(folder), "merged": merged})
    else:
        output.say(f"Wrote {'full weights of ' if merged else ''}{id} to {folder}.")


def _head(version: Version) -> dict[str, Any]:
    return {
        "id": version.id,
        "created": version.created,
        "documents": [document.title for document in version.documents],
        "passages": len(version.tasks),
        "questions": version.questions,
        "base_accuracy": version.base_accuracy,
        "adapted_accuracy": version.adapted_accuracy,
        "model": version.base.name,
    }


def _row(version: Version) -> tuple[str, ...]:
    titles = [document.title for document in version.documents]
    shown = ", ".join(titles[:3]) + (f" and {len(titles) - 3} more" if len(titles) > 3 else "")
    return (
        version.id,
        version.created,
        shown,
        str(version.questions),
        output.percent(version.base_accuracy),
        output.percent(version.adapted_accuracy),
        version.base.name,
    )
