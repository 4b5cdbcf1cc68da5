"""`selfedit pending`, `approve` and `reject`: what waits for a person, and what that person says."""

from __future__ import annotations

from typing import Annotated

import typer

from selfedit.cli import options, output
from selfedit.cli.output import print_gates
from selfedit.cli.show import print_questions
from selfedit.session import Session
from selfedit.store import DocumentDiff, Store, document_diffs, pending, told
from selfedit.types import Version

_Id = Annotated[str, typer.Argument(metavar="ID", help="What waits, such as p1.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("pending", epilog=options.examples("selfedit pending", "selfedit pending p1"))(_pending)
    app.command("approve", epilog=options.examples("selfedit approve p1", "selfedit approve p1 --adapter 3fa9c2"))(
        _approve
    )
    app.command("reject", epilog=options.examples('selfedit reject p1 --why "the figure is last year\'s"'))(_reject)


def _pending(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Which; by default all.", show_default=False)] = None,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """List what waits for approval, or show one in full: what is new, self-edits, questions, damage, flags."""
    opened = Session(None, store).store
    if id is not None:
        version = pending(opened, id)
        diffs = document_diffs(opened, version)
        if json:
            output.print_json(told.held_in_full(version, diffs))
        else:
            _print(opened, version, diffs)
        return
    versions = opened.heads("p")
    if json:
        output.print_json({"pending": [told.held(version) for version in versions]})
    elif not versions:
        output.say(f"Nothing waits for approval in {store}.")
    else:
        output.table(("id", "created", "on", "documents", "before", "after", "flags", "weights"), map(_row, versions))
        output.say(f"Look at one: {options.again('pending', versions[0].id, store=store)}")


def _approve(
    id: _Id,
    adapter: Annotated[
        str,
        typer.Option("--adapter", metavar="HASH", help="Only if the weights have this hash, or one that begins so."),
    ] = "",
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Let what waits take effect: these very weights, and no others. It becomes the active version."""
    version = Session(None, store).approve(id, adapter)
    if json:
        output.print_json({"version": version.id, "was": id, "adapter": version.adapter_sha256})
    else:
        output.say(f"{id} is version {version.id} now, and the active one.")


def _reject(
    id: _Id,
    why: Annotated[str, typer.Option("--why", metavar="REASON", help="Why.", show_default=False)],
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Set what waits aside; it never takes effect."""
    version = Session(None, store).reject(id, why)
    if json:
        output.print_json({"rejected": version.id, "was": id, "why": version.rejected})
    else:
        output.say(f"{id} is set aside as {version.id}.")


def _print(store: Store, version: Version, diffs: list[DocumentDiff]) -> None:
    on = version.parent or "the base"
    output.say(f"{version.id}, made {version.created} on top of {on}; weights {version.adapter_sha256}")
    for flag in version.flags:
        output.say(f"! {flag.kind}, {flag.where}: {flag.why}")
    for diff in diffs:
        output.say()
        output.say(f"{diff.document.title} ({diff.document.path}){', new' if diff.is_new else ''}")
        for line in diff.lines or ("(its passages say what they said before)",):
            output.say(f"    {line}")
    for rollout in version.rollouts:
        if rollout.kept:
            title = next((task.title for task in version.tasks if task.id == rollout.edit.task_id), "")
            output.say()
            output.say(f"Self-edit about {title}")
            for line in rollout.edit.text.splitlines() or ["(the passage alone)"]:
                output.say(f"    {line}")
    output.say()
    print_questions(version)
    print_gates(version.gates)
    output.say()
    active = store.active
    if active != version.parent:
        output.say(f"{active or 'The base'} is active now, and not {on}: it cannot be approved as it is.")
    output.say(f"Try it: {options.again('ask', '...', '--version', version.id, store=store.path)}")
    output.say(
        f"Then:   {options.again('approve', version.id, '--adapter', version.adapter_sha256[:16], store=store.path)}"
    )
    output.say(f"or:     {options.again('reject', version.id, '--why', '...', store=store.path)}")


def _row(version: Version) -> tuple[str, ...]:
    return (
        version.id,
        version.created,
        version.parent or "base",
        ", ".join(document.title for document in version.documents[:3]),
        output.percent(version.base_accuracy if version.questions else None),
        output.percent(version.adapted_accuracy if version.questions else None),
        ", ".join(dict.fromkeys(flag.kind for flag in version.flags)) or "-",
        version.adapter_sha256[:16],
    )
