"""Dataclasses as JSON and back, exactly: floats keep every bit, and what is not JSON is refused, not bent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from selfedit.types import Rollout, Version

T = TypeVar("T")


def encode(value: object, *, indent: int | None = None) -> bytes:
    """Write a dataclass, or anything else made of JSON's types, as JSON; on one line unless indented.

    Halves of surrogate pairs, which file names may hold but UTF-8 cannot, become question marks.

    Raises:
        ValueError: a number is not finite.
        TypeError: something in `value` has no form in JSON.
    """
    text = json.dumps(value, default=_plain, allow_nan=False, ensure_ascii=False, indent=indent)
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


def encode_version(version: Version) -> tuple[bytes, bytes]:
    """Write a version as version.json, indented and without its rollouts, and rollouts.jsonl, one on each line.

    Raises ValueError and TypeError as `encode` does.
    """
    head = _plain(version)
    del head["rollouts"]
    return encode(head, indent=2) + b"\n", b"".join(encode(rollout) + b"\n" for rollout in version.rollouts)


def decode_version(head: bytes, rollouts: bytes) -> Version:
    """Read back what `encode_version` wrote. Raises ValueError when either part is damaged."""
    plain = json.loads(head)
    if not isinstance(plain, dict):
        raise ValueError("version.json is not an object")
    version = decode(Version, encode({**plain, "rollouts": []}))
    return replace(version, rollouts=tuple(_decode_lines(rollouts.splitlines())))


def _decode_lines(lines: Iterable[bytes]) -> Iterable[Rollout]:
    for number, line in enumerate(lines, start=1):
        try:
            yield decode(Rollout, line)
        except ValueError as error:
            raise ValueError(f"rollouts.jsonl, line {number}: {error}") from error


def _plain(value: object) -> dict[str, Any]:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


# Building one takes milliseconds.
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)
