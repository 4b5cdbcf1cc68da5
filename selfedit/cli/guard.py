"""What a command line says of guards: which look, what is let through, and what waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from selfedit.cli import output
from selfedit.guard import GUARDS
from selfedit.types import Flag

_GUARD = "What is not learnt"

Guards = Annotated[
    list[str] | None,
    typer.Option(
        "--guard",
        metavar="NAME",
        help=f"What stops documents before they are learnt, once a name: {', '.join(GUARDS)}, or none. "
        "\\[default: all but model]",
        show_default=False,
        rich_help_panel=_GUARD,
    ),
]
AllowFlagged = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-flagged",
        metavar="KIND",
        help="Learn what this guard flags, too; once a kind, or all.",
        show_default=False,
        rich_help_panel=_GUARD,
    ),
]
Languages = Annotated[
    list[str] | None,
    typer.Option(
        "--language",
        metavar="CODE",
        help="Learn documents in this language, once a language. \\[default: those of what is known]",
        show_default=False,
        rich_help_panel=_GUARD,
    ),
]


def guard_settings(
    guards: list[str] | None, allowed: list[str] | None, languages: list[str] | None
) -> dict[str, list[str] | None]:
    """Settings for `Session.learn` out of options, of which those not given are None."""
    return {
        "guards": None if guards is None else [name for name in guards if name != "none"],
        "allow_flagged": [*GUARDS] if allowed and "all" in allowed else allowed or None,
        "languages": languages or None,
    }


def print_flags(flags: Sequence[Flag]) -> None:
    """Say what waits for a person, and why, a line each."""
    for index, flag in enumerate(flags):
        what = f"{flag.title} ({flag.path})" if flag.path else f"a self-edit about {flag.title}"
        output.say(f"{'' if index else 'Waiting':<10} {flag.kind}: {what}: {flag.why}: {flag.excerpt}")
    if flags:
        output.say(f"{'':<10} Nothing of these was learnt. --allow-flagged KIND lets a kind of them through.")
