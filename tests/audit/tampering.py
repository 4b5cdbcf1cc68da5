"""Logs as a store writes them, and what somebody with write access could do to them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from selfedit.audit import AuditLog, Head, read_kept
from selfedit.audit.entry import from_line, to_line
from selfedit.audit.head import Kept
from selfedit.files.chain import FIRST, line_hash

KINDS = ("edit", "delete", "insert", "swap", "truncate", "replay", "rewrite")


def make_log(folder: Path, count: int, actor: str = "ana") -> AuditLog:
    """A log of so many entries; signed where the environment gives a key."""
    folder.mkdir(parents=True, exist_ok=True)
    log = AuditLog(folder, nullcontext, actor)
    log.begin()
    for i in range(2, count + 1):
        log.record("read", hashes={"document": [f"{i:064x}"]}, tokens=[i], title=f"Notes {i} \x1b[31m\n\u202e")
    return log


@dataclass(frozen=True)
class Tampered:
    """What is on the disk afterwards.

    Attributes:
        first: the first entry that is not what it was.
    """

    kind: str
    data: bytes
    kept: Kept
    first: int


def tamper(log: AuditLog, kind: str, draw: random.Random) -> Tampered:
    """Do one such thing to a copy of a log, as somebody would who has no key; the head is made to fit where one can."""
    lines = log.path.read_bytes().split(b"\n")[:-1]
    kept = read_kept(log.head_path)
    assert kept is not None
    n = len(lines)
    at = draw.randrange(n)
    first = at + 1
    if kind == "edit":
        line = bytearray(lines[at])
        place = draw.randrange(len(line))
        line[place] = draw.choice([byte for byte in b'0a9"}x,' if byte != line[place]])
        lines[at] = bytes(line)
    elif kind == "delete":
        width = draw.choice([1, 1, 2, 5])
        at = draw.randrange(n - 1)  # The end is "truncate".
        width = min(width, n - 1 - at)
        del lines[at : at + width]
        first = at + 1
    elif kind == "insert":
        forged = replace(from_line(lines[at]), actor="mallory", number=draw.choice([at + 1, at + 2, n + 5]))
        if draw.random() < 0.5:
            forged = replace(forged, before=line_hash(lines[at]))
        lines.insert(at + 1, to_line(forged))
        first = at + 2
    elif kind == "swap":
        other = draw.choice([i for i in range(n) if i != at])
        lines[at], lines[other] = lines[other], lines[at]
        first = min(at, other) + 1
    elif kind == "truncate":
        left = draw.randrange(n)
        if draw.random() < 0.5:
            data = b"".join(line + b"\n" for line in lines)
            cut = data[: draw.randrange(len(data) - 1)]
            return Tampered(kind, cut, kept, cut.count(b"\n") + 1)
        lines, first = lines[:left], left + 1
    elif kind == "replay":
        lines[at + 1 : at + 1] = lines[max(0, at - draw.choice([0, 1, 3])) : at + 1]
        first = at + 2
    else:
        return _rewritten(lines, kept, at, draw)
    return Tampered(kind, b"".join(line + b"\n" for line in lines), kept, first)


def _rewritten(lines: list[bytes], kept: Kept, at: int, draw: random.Random) -> Tampered:
    """One entry is changed or gone, and all later ones are bound anew; the head beside is made to fit, unsigned."""
    entries = [from_line(line) for line in lines]
    if draw.random() < 0.5 or at == len(lines) - 1:
        entries[at] = replace(entries[at], actor="mallory")
    else:
        del entries[at]
    before, new = (line_hash(lines[at - 1]) if at else FIRST), lines[:at]
    for number, entry in enumerate(entries[at:], start=at + 1):
        new.append(to_line(replace(entry, number=number, before=before)))
        before = line_hash(new[-1])
    data = b"".join(line + b"\n" for line in new)
    # Whoever has no key keeps the old signature.
    head = replace(kept.head, count=len(new), hash=before)
    return Tampered("rewrite", data, Kept(head, new[-1].decode(), len(data)), at + 1)


def unsigned(change: Callable[[Sequence[bytes]], Sequence[bytes]], log: AuditLog) -> tuple[bytes, Kept]:
    """A log without a key whose lines and head somebody replaced together."""
    lines = change(log.path.read_bytes().split(b"\n")[:-1])
    data = b"".join(line + b"\n" for line in lines)
    last = from_line(lines[-1])
    return data, Kept(Head(len(lines), line_hash(lines[-1]), last.time), lines[-1].decode(), len(data))
