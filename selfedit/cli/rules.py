"""`selfedit rules`: what a store may learn, how much and from where, and who has to agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from selfedit.cli import options, output
from selfedit.rules import Rules, read_rules
from selfedit.session import Session
from selfedit.store import Store
from selfedit.text.reading import read_bytes

_File = Annotated[Path, typer.Argument(metavar="FILE", help="YAML file.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The rules of a store, which only a person writes.", invoke_without_command=True)
    group.callback(epilog=options.examples("selfedit rules", "selfedit rules set rules.yaml"))(_show)
    group.command("set", epilog=options.examples("selfedit rules set rules.yaml --store team-store"))(_set)
    group.command("check", epilog=options.examples("selfedit rules check rules.yaml"))(_check)
    app.add_typer(group, name="rules")


def _show(
    context: typer.Context,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show the rules in force: each with what it means."""
    if context.invoked_subcommand is None:
        _print(Session(None, store).store.rules, json)


def _set(
    file: _File,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Put the rules in a file in force, instead of those that were: what it does not name is not limited.

    A store that is not there yet is made.
    """
    data = read_bytes(file)
    home = store.expanduser().resolve().parent
    read_rules(data, str(file), home)  # Before a store is made.
    _print(Store.open(store, create=True).set_rules(data, str(file)), json)


def _check(
    file: _File,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Say whether a file holds rules that a store could have, without putting them in force."""
    _print(read_rules(read_bytes(file), str(file), store.expanduser().resolve().parent), json)


def _print(rules: Rules, json: bool) -> None:
    if json:
        output.print_json(rules.model_dump(mode="json"))
        return
    output.table(("rule", "is", "what it says"), _rows(rules, ""))


def _rows(group: BaseModel, prefix: str) -> list[tuple[str, str, str]]:
    rows = []
    for name, field in type(group).model_fields.items():
        value = getattr(group, name)
        if isinstance(value, BaseModel):
            rows += _rows(value, f"{prefix}{name}.")
        else:
            shown = ", ".join(value) if isinstance(value, tuple) else "-" if value is None else str(value)
            rows.append((prefix + name, shown, field.description or ""))
    return rows
