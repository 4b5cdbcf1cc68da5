"""Dataclasses as JSON and back, exactly: floats keep every bit, and what is not JSON is refused, not bent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def encode(value: object, *, indent: int | None = None) -> bytes:
    """Write a dataclass, or anything else made of JSON's types, as JSON; on one line unless indented.

    Halves of surrogate pairs, which file names may hold but UTF-8 cannot, become question marks.

    Raises:
        ValueError: a number is not finite.
        TypeError: something in `value` has no form in JSON.
    """
    text = json.dumps(value, default=plain_dict, allow_nan=False, ensure_ascii=False, indent=indent)
    return text.encode("utf-8", "replace")


def decode(type_: type[T], data: bytes) -> T:
    """Read a value of `type_`, a dataclass or a type made of JSON's, from JSON.

    Raises:
        ValueError: `data` is not JSON, or not of that type; one line that says where.
    """
    try:
        value: T = _adapter(type_).validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from error
    return value


def plain_dict(value: object) -> dict[str, Any]:
    """The fields of a dataclass, or the entries of a mapping, by name. Raises TypeError for anything else."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


# Building one takes milliseconds.
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)
