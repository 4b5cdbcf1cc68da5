"""Whatever is done to a log is found, and where; and what cannot be found without a key is said."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from selfedit.audit import read_kept, read_public, verify
from selfedit.audit.entry import from_line, to_line
from selfedit.audit.head import Kept
from selfedit.files.chain import FIRST, line_hash
from tests.audit.tampering import KINDS, make_log, tamper, unsigned

TIMES = 15


@pytest.mark.parametrize("kind", KINDS)
def test_every_tampering_is_found_where_it_is(tmp_path: Path, key: Path, kind: str) -> None:
    """The short form of `python -m benchmarks.audit_tampering`."""
    log, public, draw = make_log(tmp_path / "store", 60), read_public(key), random.Random(kind)
    assert verify(log.path.read_bytes(), read_kept(log.head_path), (), public) == ()
    for _ in range(TIMES):
        tampered = tamper(log, kind, draw)
        found = verify(tampered.data, tampered.kept, (), public)
        assert found, tampered
        assert any(f.entry - 1 <= tampered.first <= max(f.entry, f.until) + 1 for f in found if f.entry), (
            tampered.first,
            found,
        )


def test_without_a_key_a_head_elsewhere_tells(tmp_path: Path) -> None:
    log = make_log(tmp_path / "store", 20)
    kept = read_kept(log.head_path)
    assert kept is not None

    def cut(lines: list[bytes]) -> list[bytes]:
        return lines[:15]

    def anew(lines: list[bytes]) -> list[bytes]:
        new: list[bytes] = []
        for line in lines:
            entry = replace(from_line(line), actor="mallory", before=line_hash(new[-1]) if new else FIRST)
            new.append(to_line(entry))
        return new

    for change, kind in ((cut, "cut"), (anew, "rewritten")):
        data, head = unsigned(change, log)  # type: ignore[arg-type]
        assert verify(data, head) == ()  # Nothing beside it can tell.
        assert [found.kind for found in verify(data, head, [kept.head])] == [kind]


def test_an_older_log_with_its_own_signed_head_is_found_by_a_newer_head(tmp_path: Path, key: Path) -> None:
    log, public = make_log(tmp_path / "store", 10), read_public(key)
    old = log.path.read_bytes(), read_kept(log.head_path)
    log.record("read")
    newer = log.head
    assert newer is not None and verify(*old, (), public) == ()
    (found,) = verify(*old, [newer], public)
    assert (found.kind, found.entry, found.until) == ("cut", 11, 11)


def test_several_heads_say_between_which_two_it_was(tmp_path: Path) -> None:
    log, heads = make_log(tmp_path / "store", 5), []
    for _ in range(3):
        assert log.head is not None
        heads.append(log.head)
        for _ in range(5):
            log.record("read")
    lines = log.path.read_bytes().split(b"\n")[:-1]
    new = lines[:7]
    for line in lines[7:]:
        new.append(to_line(replace(from_line(line), actor="mallory", before=line_hash(new[-1]))))
    data, kept = unsigned(lambda _: new, log)
    (found,) = verify(data, kept, heads[::-1])
    assert (found.kind, found.entry, found.until) == ("rewritten", 6, 10)


def test_no_line_makes_it_fall_over(tmp_path: Path) -> None:
    """The short form of the fuzz in `python -m benchmarks.rules_fuzz`."""
    log, draw = make_log(tmp_path / "store", 3), random.Random(0)
    kept = read_kept(log.head_path)
    line = log.path.read_bytes().split(b"\n")[1]
    for _ in range(300):
        garbled = bytearray(line)
        for _ in range(draw.choice([1, 3, 20])):
            garbled[draw.randrange(len(garbled))] = draw.randrange(256)
        data = log.path.read_bytes().replace(line, bytes(garbled))
        if bytes(garbled) != line:
            assert verify(data, kept)
    for odd in (
        b"[" * 100_000,
        b'{"number":1e999}',
        b'{"number":' + b"9" * 5000 + b"}",
        b"null",
        b"\xff\xfe",
        b'{"time":"x"}',
    ):
        assert verify(odd + b"\n", Kept(kept.head, "", 0) if kept else None)
