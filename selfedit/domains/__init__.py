"""Domains by name. A new one is one file and one line here; a user's own is `package.module:Class`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from selfedit.errors import UserError, nearest
from selfedit.imports import import_named

if TYPE_CHECKING:
    from selfedit.domains.base import Domain

DOMAINS = {
    "knowledge": "selfedit.domains.knowledge:KnowledgeDomain",
    "fewshot": "selfedit.domains.fewshot:FewshotDomain",
}
ENTRY_POINTS = "selfedit.domains"
"""The group in which another package may register its own: name = "package.module:Class"."""


@cache
def _registered() -> dict[str, str]:
    """Those of other packages. Asked once: it reads what is written about each package that is installed."""
    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}


def domain_path(name: str) -> str:
    """Where the domain of that name is, as `package.module:Class`. Nothing is imported.

    Raises:
        UserError: there is none; the nearest is suggested.
    """
    known = DOMAINS | _registered()
    if name in known:
        return known[name]
    if ":" in name:
        return name
    raise UserError(f"Unknown domain '{name}'. {nearest(name, known)} One of your own is package.module:Class.")


def load_domain(name: str) -> type[Domain]:
    """The domain of that name, imported.

    Raises:
        UserError: it cannot be imported, or is no `Domain`.
    """
    from selfedit.domains.base import Domain

    domain = import_named(domain_path(name), f"the domain '{name}'", "package.module:Class")
    if not (isinstance(domain, type) and issubclass(domain, Domain)):
        raise UserError(f"The domain '{name}' is not a subclass of selfedit.domains.base.Domain.")
    return domain


def check_settings(name: str, settings: Mapping[str, Any]) -> None:
    """Before a model is loaded: does the domain of that name know these settings?

    Raises:
        UserError: it does not know one, cannot be imported, or is no `Domain`.
    """
    factory: Any = load_domain(name)
    known = dict(list(inspect.signature(factory).parameters.items())[2:])
    try:
        hints = get_type_hints(factory.__init__)
    except NameError:  # Some are only there for a type checker.
        hints = {}
    for setting, value in settings.items():
        if setting not in known:
            raise UserError(f"The domain '{name}' has no setting '{setting}'. {nearest(str(setting), known)}")
        default = known[setting].default
        if type(default) in (bool, int, str) and type(value) is not type(default):
            raise UserError(f"domain_settings.{setting} is {value!r}; it must be like {default!r}.")
        allowed = get_args(hints.get(setting))
        if get_origin(hints.get(setting)) is Literal and value not in allowed:
            raise UserError(f"domain_settings.{setting} is {value!r}. {nearest(str(value), allowed)}")


def make_domain(name: str, prompter: Any, end_token: int, settings: Mapping[str, Any]) -> Domain:
    """The domain of that name, made with a `Prompter`, the token that ends a training sequence, and its settings.

    Raises:
        UserError: it cannot be imported, is no `Domain`, or does not know a setting.
    """
    check_settings(name, settings)
    factory: Any = load_domain(name)
    domain: Domain = factory(prompter, end_token, **settings)
    return domain
