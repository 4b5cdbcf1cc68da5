"""Domains by name. A new one is one file and one line here; a user's own is `package.module:Class`."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from selfedit.errors import UserError, nearest

if TYPE_CHECKING:
    from selfedit.domains.base import Domain

DOMAINS = {"knowledge": "selfedit.domains.knowledge:KnowledgeDomain"}
ENTRY_POINTS = "selfedit.domains"
"""The group in which another package may register its own: name = "package.module:Class"."""


def domain_path(name: str) -> str:
    """Where the domain of that name is, as `package.module:Class`. Nothing is imported.

    Raises:
        UserError: there is none; the nearest is suggested.
    """
    known = DOMAINS | {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    if name in known:
        return known[name]
    if ":" in name:
        return name
    raise UserError(f"Unknown domain '{name}'. {nearest(name, known)} One of your own is package.module:Class.")


def make_domain(name: str, prompter: Any, end_token: int, **settings: Any) -> Domain:
    """The domain of that name, made with a `Prompter` and the token that ends a training sequence.

    Raises:
        UserError: it cannot be imported, or is no `Domain`.
    """
    from selfedit.domains.base import Domain

    path = domain_path(name)
    module, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"Cannot find the domain '{name}': {error}. Give it as package.module:Class.") from None
    if not (isinstance(found, type) and issubclass(found, Domain)):
        raise UserError(f"The domain '{name}' is not a subclass of selfedit.domains.base.Domain.")
    factory: Any = found
    made: Domain = factory(prompter, end_token, **settings)
    return made
