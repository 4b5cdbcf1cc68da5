"""`selfedit drift`: how far versions are from the base, on a fixed set of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from selfedit.cli import options, output
from selfedit.errors import UserError
from selfedit.progress import make_progress
from selfedit.session import Session
from selfedit.types import DriftFigures, Version

_BAR = 30
_Measured = Sequence[tuple[Version, tuple[DriftFigures, ...]]]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("drift", epilog=options.examples("selfedit drift", "selfedit drift --svg drift.svg"))(_drift)


def _drift(
    known: Annotated[bool, typer.Option("--known", help="Only what was measured before; loads no model.")] = False,
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Draw it, too.", show_default=False)] = None,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Say how the active version, and those it builds on, answer a fixed set of prompts, against the base.

    60 prompts, of which a careful model declines 10. Divergence is in nats a token from the base. A version is asked as
    `ask` asks it and, where it has one adapter, also with that always on. What was measured once is kept.
    """
    if svg is not None and svg.exists():
        raise UserError(f"There is {svg} already: name another file.")
    measured = Session(model, store, device, make_progress(quiet)).drift(measure=not known)
    if svg is not None:
        from selfedit.learn.drift import drawn

        try:
            svg.write_text(drawn(measured), encoding="utf-8")
        except OSError as error:
            raise UserError(f"Cannot write {svg}: {error.strerror}. Name another file.") from error
    if json:
        rows = [{"version": head.id, "figures": [asdict(each) for each in figures]} for head, figures in measured]
        output.print_json({"versions": rows})
        return
    if not measured:
        output.say("No version is active: the base answers, which does not drift.")
        return
    _print(measured)
    if svg is not None:
        output.say(f"Drawn in {svg}.")


def in_words(figures: Sequence[DriftFigures]) -> str:
    """The figures of a version as it is asked, in a line."""
    by = {each.of: each for each in figures}
    if "routed" not in by or "base" not in by:
        return "not measured; 'selfedit drift' does"
    base, now = by["base"], by["routed"]
    return (
        f"{_nats(now.divergence)} nats a token from the base; {now.moved} of {now.prompts} prompts answered "
        f"by something else; declined {output.percent(now.declined)} (base {output.percent(base.declined)}), "
        f"{now.words:.1f} words an answer (base {base.words:.1f})"
    )


def _print(measured: _Measured) -> None:
    rows: list[tuple[str, ...]] = []
    base = next((each for _, figures in measured for each in figures if each.of == "base"), None)
    if base is not None:
        rows.append(_row("base", base))
    for head, figures in measured:
        rows += [_row(head.id, each) for each in figures if each.of != "base"]
        if not figures:
            rows.append((head.id, "not measured", *["-"] * 6))
    columns = ("version", "of", "other than the base", "nats a token", "declined", "plain declined", "words", "repeats")
    output.table(columns, rows)
    drawn = [(head.id, each) for head, figures in measured for each in figures if each.of != "base"]
    most = max((each.divergence or 0.0 for _, each in drawn), default=0.0)
    if not most:
        return
    output.say()
    output.say("Divergence from the base")
    for id, each in drawn:
        bar = "█" * round(_BAR * (each.divergence or 0.0) / most)
        output.say(f"  {id:<6} {each.of:<10} {bar} {_nats(each.divergence)}")


def _row(id: str, each: DriftFigures) -> tuple[str, ...]:
    return (
        id,
        each.of,
        f"{each.moved} of {each.prompts}",
        _nats(each.divergence),
        output.percent(each.declined),
        output.percent(each.declined_plain),
        f"{each.words:.1f}",
        output.percent(each.repeats),
    )


def _nats(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
