"""What was done to a log that should not have been: changes, deletions, insertions, reorderings, cuts and replays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from selfedit.audit.entry import Entry, from_line
from selfedit.audit.head import Head, Kept
from selfedit.audit.signing import PublicKey
from selfedit.files.chain import FIRST, line_hash

Kind = Literal[
    "changed", "deleted", "inserted", "moved", "repeated", "cut", "unfinished", "rewritten", "unsigned", "store"
]
"""`unfinished`: a last line that a crash cut off, which the next action completes; `store`: not of the log itself."""


@dataclass(frozen=True)
class Finding:
    """Something wrong.

    Attributes:
        entry: the number of the entry at which it shows; 0 where it is of none.
        until: the last entry that may be meant, where it cannot be said more exactly.
    """

    kind: Kind
    entry: int
    text: str
    until: int = 0


def verify(
    data: bytes, kept: Kept | None, elsewhere: Sequence[Head] = (), key: PublicKey | None = None
) -> tuple[Finding, ...]:
    """Everything that is wrong with a log; nothing where it is whole.

    A chain alone cannot tell that its end was cut, nor that it was made anew from some entry on: that takes a head. One
    beside the log does where it is signed, and `key` says by whom; one that was kept elsewhere always does.

    Args:
        data: the log's bytes.
        kept: what is beside it.
        elsewhere: heads that were kept elsewhere.
        key: has to have signed all of them.
    """
    lines, tail = _lines(data)
    entries = [_read(line) for line in lines]
    findings = _chain(lines, entries)
    findings += _end(lines, tail, kept)
    findings += against(lines, sorted(elsewhere, key=lambda head: head.count))
    if key is not None:
        findings += signatures([*([kept.head] if kept is not None else []), *elsewhere], key)
        findings += _signed_lines(entries, key)
    return tuple(findings)


def _lines(data: bytes) -> tuple[list[bytes], bytes]:
    *lines, tail = data.split(b"\n")
    return lines, tail


def _chain(lines: Sequence[bytes], entries: Sequence[Entry | None]) -> list[Finding]:
    """Where one line does not follow another."""
    findings: list[Finding] = []
    seen: dict[str, int] = {}
    numbers = Counter(entry.number for entry in entries if entry is not None)
    before, last = FIRST, 0
    time: datetime | None = None
    for line, entry in zip(lines, entries, strict=True):
        hash = line_hash(line)
        expected = last + 1
        if entry is None:
            findings.append(Finding("changed", expected, f"entry {expected} is not one that selfedit wrote"))
            before, last = hash, expected
            continue
        if hash in seen:
            findings.append(Finding("repeated", expected, f"after entry {last}, entry {seen[hash]} is there again"))
            continue
        seen[hash] = entry.number
        if entry.number > expected:
            gone = [n for n in range(expected, min(entry.number, expected + len(lines))) if n not in numbers]
            kind: Kind = "deleted" if gone else "moved"
            what = f"{_span(expected, entry.number - 1)} {'are gone' if gone else 'do not stand in their place'}"
            findings.append(Finding(kind, expected, what, until=entry.number - 1))
        elif entry.number < expected:
            kind = "moved" if numbers[entry.number] == 1 else "inserted"
            word = "does not stand in its place" if kind == "moved" else "was put in"
            findings.append(
                Finding(kind, entry.number, f"after entry {last}, a line with the number {entry.number} {word}")
            )
        elif entry.before != before:
            findings.append(_unlinked(entry, expected))
        elif time is not None and entry.when < time:
            findings.append(Finding("changed", entry.number, f"entry {entry.number} is earlier than the one before it"))
        before, last, time = hash, entry.number, entry.when
    return findings


def _unlinked(entry: Entry, expected: int) -> Finding:
    """The line before has another hash than this one says: one of the two was changed."""
    if expected == 1:
        return Finding("changed", 1, "entry 1 was changed: it says that another one was before it")
    text = f"entry {expected - 1} is not what it was when entry {expected} was written after it"
    return Finding("changed", expected - 1, text, until=expected)


def _end(lines: Sequence[bytes], tail: bytes, kept: Kept | None) -> list[Finding]:
    """Whether the log ends as the head beside it says."""
    if kept is None:
        return [Finding("cut", 0, "there is no head beside the log")] if lines or tail else []
    last = kept.last.encode()
    if line_hash(last) != kept.head.hash:
        return [Finding("changed", kept.head.count, "the head is not that of its own last line")]
    if len(lines) == kept.head.count - 1 and last.startswith(tail) and _hash_before(lines) == _before(last):
        text = (
            f"entry {kept.head.count} was not written whole; the next action completes it, unless somebody cut it off"
        )
        return [Finding("unfinished", kept.head.count, text)]
    findings = []
    if tail:
        findings.append(Finding("cut", len(lines) + 1, f"after entry {len(lines)} there is half a line"))
    return findings + against(lines, [kept.head])


def against(lines: Sequence[bytes], heads: Sequence[Head]) -> list[Finding]:
    """Whether a log goes on from what each head says, the oldest one first."""
    findings: list[Finding] = []
    good = 0
    for head in heads:
        if head.count > len(lines):
            text = f"the head of {head.time} knows {head.count} entries, and the log has {len(lines)}"
            findings.append(Finding("cut", len(lines) + 1, text, until=head.count))
        elif head.count < 1 or line_hash(lines[head.count - 1]) != head.hash:
            text = f"{_span(good + 1, head.count)}: not what the head of {head.time} knows"
            findings.append(Finding("rewritten", good + 1, text, until=head.count))
        else:
            good = head.count
            continue
        break
    return findings


def signatures(heads: Sequence[Head], key: PublicKey) -> list[Finding]:
    """Whether the key signed all of them, and there is one at all."""
    bad = [head for head in heads if not head.is_signed_by(key)]
    return [
        Finding("unsigned", head.count, f"the head of {head.time} bears no good signature of the key {key.fingerprint}")
        for head in bad
    ] or ([] if heads else [Finding("unsigned", 0, "there is no head that could be signed")])


def _signed_lines(entries: Sequence[Entry | None], key: PublicKey) -> list[Finding]:
    """The first entry that was written anew, by the signature that the next one bears of all before it."""
    signed = False
    for entry in entries:
        if entry is None or entry.number < 2:
            continue
        signed = signed or bool(entry.signature)
        if signed and not Head(entry.number - 1, entry.before, "", signature=entry.signature).is_signed_by(key):
            text = f"entry {entry.number - 1} is not the one that the key {key.fingerprint} signed"
            return [Finding("rewritten", entry.number - 1, text, until=entry.number)]
    return []


def _read(line: bytes) -> Entry | None:
    try:
        return from_line(line)
    except ValueError:
        return None


def _before(line: bytes) -> str | None:
    entry = _read(line)
    return None if entry is None else entry.before


def _hash_before(lines: Sequence[bytes]) -> str:
    return line_hash(lines[-1]) if lines else FIRST


def _span(first: int, last: int) -> str:
    return f"entry {first}" if first >= last else f"entries {first} to {last}"
