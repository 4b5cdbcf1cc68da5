"""Guards by name. A new one is one file and one line here; a user's own is `package.module:Class`."""

from __future__ import annotations

from collections.abc import Sequence

from selfedit.guard.base import Guard, Known, Reader, Text
from selfedit.guard.contradiction import ContradictionGuard
from selfedit.guard.duplicates import DuplicatesGuard
from selfedit.guard.instructions import InstructionsGuard
from selfedit.guard.invisible import InvisibleGuard
from selfedit.guard.language import LanguageGuard, check_languages
from selfedit.guard.model import ModelGuard
from selfedit.guard.personal import PersonalGuard
from selfedit.guard.repeated import RepeatedGuard
from selfedit.guard.secrets import SecretsGuard
from selfedit.imports import load_named
from selfedit.types import Flag

GUARDS: dict[str, type[Guard]] = {
    guard.name: guard
    for guard in (
        SecretsGuard,
        PersonalGuard,
        InstructionsGuard,
        InvisibleGuard,
        LanguageGuard,
        DuplicatesGuard,
        ContradictionGuard,
        RepeatedGuard,
        ModelGuard,
    )
}

DEFAULT_GUARDS = tuple(name for name in GUARDS if name != ModelGuard.name)
"""Those that need nothing but the package; what they stop by mistake was measured (docs/guard.md)."""

__all__ = ["DEFAULT_GUARDS", "GUARDS", "Guard", "Known", "Reader", "Text", "check_languages", "make_guard", "screen"]


def make_guard(name: str) -> Guard:
    """The guard of that name.

    Raises:
        UserError: there is none, or it lacks something that it needs; the nearest is suggested.
    """
    return load_named(name, "guard", GUARDS, Guard)()


def screen(guards: Sequence[Guard], texts: Sequence[Text], known: Known, allowed: Sequence[str] = ()) -> list[Flag]:
    """All flags of all guards, but those of the kinds that a person lets through, text by text."""
    flags = [flag for guard in guards if guard.name not in allowed for flag in guard.screen(texts, known)]
    place = {text.id: number for number, text in enumerate(texts)}
    return sorted(flags, key=lambda flag: place[flag.where])
