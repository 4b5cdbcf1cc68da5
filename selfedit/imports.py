"""What a user names as `package.module:attribute`, imported."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from selfedit.errors import UserError, nearest

T = TypeVar("T")


def import_named(path: str, what: str, form: str) -> Any:
    """The attribute that `path` names.

    Args:
        what: what the user calls it, for the message, as "the reward 'my:function'".
        form: how it should be given, as "package.module:function".

    Raises:
        UserError: it cannot be imported.
    """
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"Cannot find {what}: {error}. Give it as {form}.") from None


def load_named(name: str, what: str, known: Mapping[str, type[T]], base: type) -> type[T]:
    """The class of that name in a registry, or a user's own that is named as `package.module:Class`.

    Args:
        what: what such a class is called, as "gate".
        base: what it has to be a subclass of.

    Raises:
        UserError: there is none; the nearest is suggested.
    """
    if ":" not in name:
        if name not in known:
            raise UserError(f"Unknown {what} '{name}'. {nearest(name, known)} One of your own is package.module:Class.")
        return known[name]
    made = import_named(name, f"the {what} '{name}'", "package.module:Class")
    if not (isinstance(made, type) and issubclass(made, base)):
        raise UserError(f"The {what} '{name}' is not a subclass of {base.__module__}.{base.__name__}.")
    return cast("type[T]", made)
