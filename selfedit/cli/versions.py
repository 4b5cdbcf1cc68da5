"""`selfedit versions`, `show` and `export`: what there is in a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selfedit.cli import options, output
from selfedit.cli.show import print_version
from selfedit.errors import UserError
from selfedit.progress import make_progress
from selfedit.session import Session
from selfedit.store import told
from selfedit.types import Version

_Id = Annotated[str, typer.Argument(metavar="ID", help="Which version, such as v1.", show_default=False)]
_OptionalId = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="Which version; by default the active one.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("versions", epilog=options.examples("selfedit versions", "selfedit versions --json"))(_versions)
    app.command("show", epilog=options.examples("selfedit show", "selfedit show v1 --json"))(_show)
    app.command(
        "export",
        epilog=options.examples(
            "selfedit export v1 adapter/",
            "selfedit export v1 weights/ --merged",
            "selfedit export --vllm served/ --versions v1,v3",
        ),
    )(_export)


def _versions(
    rejected: Annotated[bool, typer.Option("--rejected", help="Those that the gates did not let through.")] = False,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """List the versions in the store as a tree, each under the one that it builds on; an arrow marks the active one.

    With --model only those of that base model.
    """
    opened = Session(None, store).store
    heads = [head for head in opened.heads("r" if rejected else "v") if model is None or head.base.name == model]
    active = opened.active
    if json:
        rows = [told.listed(head) | {"active": head.id == active} for head in heads]
        output.print_json({"versions": rows, "active": active})
    elif not heads and rejected:
        output.say(f"Nothing was rejected in {store}.")
    elif not heads:
        output.say(f"No version yet in {store}. Make one: {options.again('learn', 'FILE', store=store)}")
    else:
        columns = ("id", "created", "what", "questions", "before", "after", "memory", "model")
        output.table(columns, [_row(head, indent, active) for head, indent in _tree(heads)])
        if rejected:
            output.say("'selfedit show ID' says why.")
        elif active is None:
            output.say("No version is active: the base answers.")


def _tree(heads: list[Version]) -> list[tuple[Version, str]]:
    """Versions with their indents: one that builds on another stands below it, and further in if it is a branch."""
    known = {head.id for head in heads}
    children: dict[str | None, list[Version]] = {}
    for head in heads:
        children.setdefault(head.parent if head.parent in known else None, []).append(head)
    rows: list[tuple[Version, str]] = []
    # Not recursive: a lineage may be a thousand versions long. The last branch goes on straight, below the others.
    stack = [(head, 0) for head in reversed(children.get(None, []))]
    while stack:
        head, depth = stack.pop()
        rows.append((head, "  " * max(0, depth - 1) + ("└ " if depth else "")))
        below = children.get(head.id, [])
        stack += [(child, depth) for child in below[-1:]]
        stack += [(child, depth + 1) for child in reversed(below[:-1])]
    return rows


def _show(
    id: _OptionalId = None,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show all that made a version: settings, self-edits, questions with both answers, and the training loss."""
    opened = Session(None, store).store
    version = opened.get(id)
    if json:
        output.print_json(told.in_full(version))
    else:
        print_version(version, opened.known_drift(version))


def _export(
    id: _OptionalId = None,
    target: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A new or empty folder.", show_default=False)
    ] = None,
    merged: Annotated[bool, typer.Option("--merged", help="Full weights instead of a PEFT folder.")] = False,
    vllm: Annotated[
        Path | None,
        typer.Option("--vllm", metavar="DIR", help="A new or empty folder, for 'vllm serve'.", show_default=False),
    ] = None,
    versions: Annotated[
        str | None,
        typer.Option(
            "--versions", metavar="IDS", help="With --vllm: which, as v1,v3; else the active one.", show_default=False
        ),
    ] = None,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write a version into a folder, as a PEFT adapter or merged into full weights; or several for vLLM."""
    session = Session(model, store, device, make_progress(quiet))
    if vllm is not None:
        if id is not None or target is not None or merged:
            raise UserError("--vllm names the folder, and --versions the versions. Leave out ID, DIR and --merged.")
        _export_vllm(session, vllm, versions, json)
        return
    if id is None or target is None or versions is not None:
        raise UserError("Name a version and a folder, as in 'selfedit export v1 adapter/', or a folder with --vllm.")
    folder = session.export(id, target, merged=merged)
    if json:
        output.print_json({"version": id, "folder": str(folder), "merged": merged})
    else:
        output.say(f"Wrote {'full weights of ' if merged else ''}{id} to {folder}.")


def _export_vllm(session: Session, folder: Path, versions: str | None, json: bool) -> None:
    named = [] if versions is None else [part.strip() for part in versions.split(",")]
    if versions is not None and not all(named):
        raise UserError("--versions: name versions with commas between them, as v1,v3.")
    written = session.export_vllm(named, folder)
    if json:
        output.print_json(
            {
                "folder": str(written.folder),
                "base": written.base,
                "max_lora_rank": written.max_rank,
                "modules": list(written.modules),
                "command": written.command,
            }
        )
    else:
        count = len(written.modules)
        output.say(f"Wrote {count} adapter{'s' if count > 1 else ''} to {written.folder}. Serve them with:")
        output.say(written.command)


def _row(version: Version, indent: str, active: str | None) -> tuple[str, ...]:
    titles = [document.title for document in version.documents]
    shown = ", ".join(titles[:3]) + (f" and {len(titles) - 3} more" if len(titles) > 3 else "")
    asked = bool(version.questions)
    return (
        indent + version.id + (" ←" if version.id == active else ""),
        version.created,
        shown if version.action == "learn" else f"{version.action}: {shown}",
        str(version.questions),
        output.percent(version.base_accuracy if asked else None),
        output.percent(version.adapted_accuracy if asked else None),
        version.knowledge.memory or "-",
        version.base.name,
    )
