"""Options that all commands share, and what they have in common to say in their help."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from selfedit.session import DEFAULT_STORE

_PANEL = "Options of all commands"

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel=_PANEL)]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Seed of all that is random.", show_default=False, rich_help_panel=_PANEL)
]
StoreDir = Annotated[
    Path, typer.Option("--store", metavar="DIR", help="Folder that the versions are in.", rich_help_panel=_PANEL)
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Base model: a bundled name, a Hugging Face id, a folder or a .gguf file. By default the one of the "
        "store's newest version, or else smollm2-135m.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", help="cpu, cuda, ...; by default a GPU if there is one.", show_default=False, rich_help_panel=_PANEL
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.", rich_help_panel=_PANEL)]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show tracebacks of errors.", rich_help_panel=_PANEL),
]
STORE = DEFAULT_STORE


def examples(*commands: str) -> str:
    """The end of a command's help."""
    return "Examples:\n\n" + "\n\n".join(f"  $ {command}" for command in commands)


def again(command: str, *arguments: str, store: Path, model: str | None = None) -> str:
    """A command line for the user to run next, with the options that it needs to find the same things."""
    words = ["selfedit", command, *map(_quoted, arguments)]
    if store != STORE:
        words += ["--store", shlex.quote(str(store))]
    if model is not None:
        words += ["--model", shlex.quote(model)]
    return " ".join(words)


def _quoted(word: str) -> str:
    """A word for the shell, in double quotes where they are enough: they read better."""
    if " " in word and not set(word) & set('"$`\\!'):
        return f'"{word}"'
    return shlex.quote(word)
