"""`selfedit audit`: who did what to a store, whether that was tampered with, and where knowledge came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from time import sleep
from typing import Annotated, Any, get_args

import typer

from selfedit.audit import (
    KEY_FILE,
    Action,
    Entry,
    Finding,
    Trace,
    make_key,
    read_heads,
    read_kept,
    read_public,
    records_head,
    trace,
    verify,
    verify_records,
)
from selfedit.cli import options, output
from selfedit.cli.runs import Runs, run_folder
from selfedit.errors import UserError, nearest
from selfedit.experiments.runs import listing
from selfedit.files.disk import reading
from selfedit.session import Session
from selfedit.store import differences

_Run = Annotated[
    str | None, typer.Option("--run", metavar="RUN", help="Of a run's records instead of a store.", show_default=False)
]
_SHOWN = 50


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Who did what to a store, and whether that can be believed.", invoke_without_command=True)
    group.callback(epilog=options.examples("selfedit audit", "selfedit audit --action committed --actor ana --json"))(
        _show
    )
    group.command("verify", epilog=options.examples("selfedit audit verify --head heads.jsonl --key audit.key.pub"))(
        _verify
    )
    group.command("head", epilog=options.examples("selfedit audit head --json >> /elsewhere/heads.jsonl"))(_head)
    group.command("trace", epilog=options.examples("selfedit audit trace v3", 'selfedit audit trace "Odalys Brenk"'))(
        _trace
    )
    group.command("key", epilog=options.examples("selfedit audit key ~/audit.key"))(_key)
    app.add_typer(group, name="audit")


def _show(
    context: typer.Context,
    action: Annotated[
        str | None, typer.Option("--action", metavar="ACTION", help="Only this one, such as committed.")
    ] = None,
    actor: Annotated[str | None, typer.Option("--actor", metavar="NAME", help="Only what this one did.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", metavar="ID", help="Only about this version.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="As 2026-05-31 or 2026-05-31T12:00.")
    ] = None,
    last: Annotated[int, typer.Option("--last", metavar="N", min=0, help="At most so many; 0 is all.")] = _SHOWN,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show what was done to a store, oldest first."""
    if context.invoked_subcommand is not None:
        return
    actions = get_args(Action)
    if action is not None and action not in actions:
        raise UserError(f"There is no action '{action}'. {nearest(action, actions)}")
    start = _time(since) if since is not None else None
    entries = [
        entry
        for entry in Session(None, store).store.audit.entries()
        if action in (None, entry.action)
        and actor in (None, entry.actor)
        and subject in (None, entry.subject)
        and (start is None or entry.when >= start)
    ]
    shown = entries[-last:] if last else entries
    if json:
        output.print_json({"entries": [asdict(entry) for entry in shown], "count": len(entries)})
    elif not entries:
        output.say(f"Nothing of that kind is in the audit log of {store}.")
    else:
        output.table(("entry", "time", "actor", "action", "of", "what"), map(_row, shown))
        if len(shown) < len(entries):
            output.say(f"{len(entries) - len(shown)} earlier ones; --last 0 shows all.")


def _verify(
    head: Annotated[
        Path | None, typer.Option("--head", metavar="FILE", help="Heads that were kept elsewhere.", show_default=False)
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="PUB", help="Public key that has to have signed.", show_default=False),
    ] = None,
    run: _Run = None,
    runs_dir: Runs = listing.DEFAULT_RUNS,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Look for every change, deletion, insertion, reordering, cut and replay, and say where; exit code 1 if any.

    Without a signed head or one that was kept elsewhere, nobody can tell that the end was cut off, or that all was
    written anew.
    """
    heads = read_heads(head) if head is not None else ()
    public = read_public(key) if key is not None else None
    if run is not None:
        folder = run_folder(run, runs_dir)
        findings, count = verify_records(folder, heads, public), records_head(folder).count
    else:
        opened = Session(None, store).store
        path, count = opened.audit.path, 0
        for _ in range(_TRIES):
            with reading(path):
                data = path.read_bytes() if path.exists() else b""
            findings, count = verify(data, read_kept(opened.audit.head_path), heads, public), data.count(b"\n")
            findings = findings or tuple(differences(opened))
            if not findings:
                break
            sleep(_PAUSE_S)
    _print_findings(findings, count, vouched=bool(heads) or public is not None, json=json)


# Somebody may be writing: what is wrong for good still is a little later.
_TRIES, _PAUSE_S = 3, 0.2


def _head(
    run: _Run = None,
    runs_dir: Runs = listing.DEFAULT_RUNS,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Print what stands for the whole log: count and hash, signed where there is a key. Keep it elsewhere."""
    if run is not None:
        head = records_head(run_folder(run, runs_dir))
    else:
        found = Session(None, store).store.audit.head
        if found is None:
            raise UserError(f"Nothing is in the audit log of {store} yet.")
        head = found
    if json:
        output.print_json_line(asdict(head))
        return
    signed = f"signed by {head.key}" if head.key else f"not signed ({KEY_FILE} names a key)"
    output.say(f"{head.count} entries until {head.time}, {signed}")
    output.say(head.hash)


def _trace(
    what: Annotated[
        str, typer.Argument(metavar="VERSION|ANSWER", help="A version, or words of an answer.", show_default=False)
    ],
    version: Annotated[
        str | None,
        typer.Option("--version", metavar="ID", help="Which version gave the answer; by default the active one."),
    ] = None,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Go from a version, or from an answer, back to the documents, the self-edits and the people."""
    opened = Session(None, store).store
    every = [*opened.ids(), *opened.ids("p"), *opened.ids("r")]
    answer = "" if what in every else what.strip()
    if not answer and what not in every:
        raise UserError("Give a version, or the words of an answer.")
    chosen = opened.get(version if answer else what)
    found = trace(chosen.knowledge, opened.audit.entries(), answer)
    if json:
        output.print_json({"version": chosen.id, "answer": answer, "found": [asdict(each) for each in found]})
        return
    if not found:
        output.say(f"Nothing that {chosen.id} learnt holds '{answer}'; it may be the base model's own.")
    for each in found:
        _print_trace(each)


def _key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, outside of the store.", show_default=False)],
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Make an Ed25519 key: FILE for whoever signs, FILE.pub for whoever verifies."""
    public = make_key(file)
    if json:
        output.print_json({"key": str(file), "public": f"{file}.pub", "fingerprint": public.fingerprint})
    else:
        output.say(f"Wrote {file} and {file}.pub ({public.fingerprint}). Sign with it: export {KEY_FILE}={file}")


def _print_findings(findings: Sequence[Finding], count: int, *, vouched: bool, json: bool) -> None:
    if json:
        output.print_json({"entries": count, "whole": not findings, "findings": [asdict(each) for each in findings]})
    elif findings:
        output.table(("what", "entry", "says"), [(f.kind, str(f.entry) if f.entry else "-", f.text) for f in findings])
    else:
        output.say(f"{count} entries, each bound to the one before; the store is as they say.")
        if not vouched:
            output.say("Only --head FILE, kept elsewhere, or --key PUB can tell whether all was written anew.")
    if findings:
        raise typer.Exit(1)


def _row(entry: Entry) -> tuple[str, ...]:
    details = ", ".join(f"{name} {_plain(value)}" for name, value in entry.details.items() if value not in (None, ""))
    hashes = ", ".join(
        f"{kind} {values[0][:8]}" + (f" (of {len(values)})" if len(values) > 1 else "")
        for kind, values in entry.hashes.items()
        if values
    )
    what = "; ".join(part for part in (details, hashes) if part)
    return str(entry.number), entry.time[:19], entry.actor, entry.action, entry.subject, what


def _plain(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _print_trace(found: Trace) -> None:
    output.say(f"{found.document.title} ({found.document.path}, sha256 {found.document.sha256[:16]})")
    output.say(f"    passage  {found.passage}")
    for text in found.edits:
        output.say("    edit     " + text.replace("\n", "\n             "))
    output.say(f"    weights  {found.adapter[:16]}, learnt by {found.version}")
    for entry in found.entries:
        output.say(
            f"    {entry.time[:19]}  {entry.action} by {entry.actor}" + (f" ({entry.subject})" if entry.subject else "")
        )


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"--since {text} is no time: write it as 2026-05-31 or 2026-05-31T12:00.") from None
    return time if time.tzinfo is not None else time.astimezone().astimezone(timezone.utc)
