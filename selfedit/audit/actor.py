"""Who does something."""

from __future__ import annotations

import getpass
import os

from selfedit.errors import UserError

ACTOR = "SELFEDIT_ACTOR"
"""The environment variable that names who acts; without it, it is the user of the operating system."""

_LONGEST = 100


def default_actor() -> str:
    """Who acts where nobody else is named. Raises UserError where that can be no name."""
    if name := os.environ.get(ACTOR):
        return checked_actor(name)
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        name = f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"
    return name if name.isprintable() else "unknown"


def checked_actor(name: str) -> str:
    """The name. Raises UserError unless it is one short line of printable characters."""
    if not name.isprintable() or name != name.strip() or not 0 < len(name) <= _LONGEST:
        raise UserError(f"An actor is one line of 1 to {_LONGEST} printable characters, not {name[:_LONGEST]!r}.")
    return name
