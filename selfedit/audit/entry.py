"""One line of an audit log: who did what, when, to which hashes, after which line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from selfedit.files.chain import FIRST
from selfedit.files.serialize import decode, encode

Action = Literal[
    "began",
    "read",
    "wrote edits",
    "trained",
    "gated",
    "held",
    "committed",
    "rejected",
    "approved",
    "activated",
    "rolled back",
    "forgot",
    "feedback",
    "limit hit",
    "setting changed",
    "repaired",
]
"""What may be done to a store. `began`: a log, with what was there before it; `held`: a version waits for approval."""


@dataclass(frozen=True)
class Entry:
    """What was done.

    Attributes:
        number: 1 is the first.
        time: UTC, never earlier than that of the line before, whatever the clock says.
        subject: a version's id, or whatever else it was done to.
        hashes: SHA-256 by kind: document, edit, recipe, adapter, version, rules.
        rules: the hash of the rules in force from this line on; empty where there are none.
        before: the hash of the line before.
        signature: of the head as it was before this line, where it was signed: so each line vouches for all before it.
    """

    number: int
    time: str
    actor: str
    action: Action
    subject: str = ""
    hashes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    rules: str = ""
    before: str = FIRST
    signature: str = ""

    @property
    def when(self) -> datetime:
        """The time, to reckon with."""
        return datetime.fromisoformat(self.time)


def to_line(entry: Entry) -> bytes:
    """The entry as its line, without the newline: plain ASCII, so that nothing in it can move a terminal's cursor.

    Raises ValueError and TypeError as `encode` does.
    """
    return (
        json.dumps(json.loads(encode(entry)), separators=(",", ":"), ensure_ascii=True)
        .encode()
        .replace(b"\x7f", b"\\u007f")
    )


def from_line(line: bytes) -> Entry:
    """The entry of a line. Raises ValueError where it is none."""
    entry = decode(Entry, line)
    if entry.when.utcoffset() is None:
        raise ValueError("time: it has no time zone")
    return entry
