"""`selfedit doctor`: a report on this machine, to be pasted into a bug report."""

from __future__ import annotations

import typer

from selfedit.cli import options, output


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog=options.examples("selfedit doctor", "selfedit doctor --json"))(_doctor)


def _doctor(
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Report versions, processor, threads, memory, GPU, disk and cache, and what is missing and how to get it."""
    from selfedit.doctor import examine, report

    facts = examine(store, model)
    if json:
        output.print_json(facts)
    else:
        print(report(facts))
