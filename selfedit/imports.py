"""What a user names as `package.module:attribute`, imported."""

from __future__ import annotations

import importlib
from typing import Any

from selfedit.errors import UserError


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
