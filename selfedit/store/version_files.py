"""A version as the two files that a store keeps of it beside its weights."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from selfedit.files.serialize import decode, encode, plain_dict
from selfedit.release_0_1 import upgraded_rollout
from selfedit.types import Rollout, Version


def encode_version(version: Version) -> tuple[bytes, bytes]:
    """Write a version as version.json, indented and without its rollouts, and rollouts.jsonl, one on each line.

    Raises ValueError and TypeError as `encode` does.
    """
    head = plain_dict(version)
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
            yield decode(Rollout, encode(upgraded_rollout(decode(dict[str, Any], line))))
        except ValueError as error:
            raise ValueError(f"rollouts.jsonl, line {number}: {error}") from error
