"""The records of a run or of unfinished work: a journal whose lines are bound to each other as an audit log's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from selfedit.audit.head import Head, read_heads
from selfedit.audit.signing import PublicKey, given_signer
from selfedit.audit.verify import Finding, against, signatures
from selfedit.files.chain import FIRST, line_hash
from selfedit.files.disk import reading, write_whole, writing
from selfedit.files.serialize import encode

_HEAD = "head.json"


def records_head(folder: Path) -> Head:
    """What stands for all the records in a run's folder now, signed where the environment gives a key.

    Raises:
        UserError: they cannot be read, or the key is not good.
    """
    lines = _lines(folder)
    time = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Head(len(lines), line_hash(lines[-1]) if lines else FIRST, time).signed(given_signer(folder))


def keep_head(folder: Path) -> None:
    """Write the head beside the records. Raises UserError where that fails."""
    with writing(folder, "use another --out"):
        write_whole(folder / "records" / _HEAD, encode(records_head(folder)) + b"\n")


def verify_records(folder: Path, elsewhere: Sequence[Head] = (), key: PublicKey | None = None) -> tuple[Finding, ...]:
    """Everything that is wrong with a run's records.

    Lines that an earlier release wrote say nothing of each other; the first later one vouches for the last of them.

    Args:
        elsewhere: heads that were kept elsewhere, beside the one that the last process left.
        key: has to have signed all of them.
    """
    lines = _lines(folder)
    findings = []
    before, chained = FIRST, False
    for number, line in enumerate(lines, start=1):
        said = _before(line)
        chained = chained or said is not None
        if chained and said != before:
            text = f"record {number} was not written after the one that stands before it"
            findings.append(Finding("changed", max(1, number - 1), text, until=number))
        before = line_hash(line)
    file = folder / "records" / _HEAD
    heads = [*(read_heads(file) if file.exists() else ()), *elsewhere]
    findings += against(lines, sorted(heads, key=lambda head: head.count))
    if key is not None:
        findings += signatures(heads, key)
    return tuple(findings)


def _lines(folder: Path) -> list[bytes]:
    path = folder / "records" / "journal.jsonl"
    with reading(path):
        return path.read_bytes().split(b"\n")[:-1]


def _before(line: bytes) -> str | None:
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        return str(json.loads(line)["before"])
    return None
