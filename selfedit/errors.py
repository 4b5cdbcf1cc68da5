"""Errors that a user can mend, and the hint that helps to mend them."""

from __future__ import annotations

from collections.abc import Iterable

from rapidfuzz import process


class UserError(Exception):
    """A mistake the user can mend.

    The message is one line that says what is wrong, where, and how to fix it. The command line prints it on
    stderr without a traceback and exits with code 2.
    """


class NotAllowedError(UserError):
    """Whoever acts may not do this; somebody else may."""


class NotADocumentError(UserError):
    """The file can be read but holds nothing to learn. In a folder, such files are passed over."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence naming the entry of `known` most like `name`, or listing them all if none is close."""
    choices = sorted(known)
    match = process.extractOne(name, choices, score_cutoff=60)
    if match is not None:
        return f"Did you mean '{match[0]}'?"
    return f"Known: {', '.join(choices)}." if choices else "There are none yet."
