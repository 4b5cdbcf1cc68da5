"""YAML that a person writes: read without surprises, and what is wrong with it said in one line."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from selfedit.errors import UserError, nearest
from selfedit.text.reading import shown

_LONGEST_BYTES = 64 * 1024


class _Loader(yaml.SafeLoader):
    """Refuses what most often is a mistake or an attack: a key given twice, and references to other parts."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "references (*name) are not allowed", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        keys: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in keys:
                    raise yaml.constructor.ConstructorError(None, None, f"{key!r} is there twice", key_node.start_mark)
                keys.add(key)
        return super().construct_mapping(node, deep)


def read_mapping(data: bytes, name: str) -> dict[str, Any]:
    """The keys and values that a YAML text holds; none where it is empty.

    Args:
        name: of the file, for messages.

    Raises:
        UserError: it is no such text.
    """
    if len(data) > _LONGEST_BYTES:
        raise UserError(f"{name} has {len(data)} bytes: more than {_LONGEST_BYTES} are no settings of a person.")
    try:
        raw = yaml.load(data.decode(), Loader=_Loader)
    except RecursionError:
        raise UserError(f"{name} is nested too deeply.") from None
    except (yaml.YAMLError, ValueError, OverflowError, LookupError, TypeError, AttributeError) as error:
        # Not all that the parser stumbles over, as the date 2026-99-99, is an error of its own.
        raise UserError(f"{name} is not YAML: {shown(' '.join(str(error).split()))}.") from None
    raw = {} if raw is None else raw
    if not isinstance(raw, dict) or not all(isinstance(key, str) for key in raw):
        raise UserError(f"{name} does not hold 'key: value' lines.")
    return raw


def explained(error: ValidationError, model: type[BaseModel]) -> str:
    """The first thing that is wrong with settings, in one line; an unknown key gets the nearest one."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        group: Any = model
        for part in first["loc"][:-1]:
            group = _model_of(group.model_fields[part].annotation)
        return f"unknown key '{shown(where)}'. {nearest(str(first['loc'][-1]), group.model_fields)}"
    if first["type"] == "missing":
        return f"'{where}' is missing."
    message = first["msg"].removeprefix("Value error, ")
    if not where:
        return f"{message}."
    return f"'{shown(where)}' is {shown(repr(first['input']), 80)}: {message[0].lower()}{message[1:]}."


def _model_of(annotation: Any) -> Any:
    """The settings in a type such as `Settings | None`."""
    each = [part for part in get_args(annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
    return each[0] if each else annotation
