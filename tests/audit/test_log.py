"""The log is whole after any crash, says what it repaired, and refuses to go on from what was tampered with."""

from __future__ import annotations

import os
import random
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from selfedit.audit import (
    KEY,
    KEY_FILE,
    AuditLog,
    checked_actor,
    default_actor,
    make_key,
    read_kept,
    read_public,
    verify,
)
from selfedit.audit.entry import from_line
from selfedit.audit.log import _backwards
from selfedit.errors import UserError
from tests.audit.tampering import make_log


def whole(log: AuditLog, key: Path | None = None) -> bool:
    public = None if key is None else read_public(key)
    return not verify(log.path.read_bytes(), read_kept(log.head_path), (), public)


def test_entries_are_bound_and_read_back(tmp_path: Path) -> None:
    log = make_log(tmp_path / "store", 5)
    entry = log.record("feedback", "v1", hashes={"document": ["a" * 64]}, question="Who?", score=0.1 + 0.2)
    assert log.entries()[-1] == entry and entry.number == 6
    assert (entry.details["score"], entry.actor, entry.subject) == (0.1 + 0.2, "ana", "v1")
    assert log.head is not None and (log.head.count, log.head.key) == (6, "")
    assert whole(log)
    assert log.path.read_bytes().isascii() and b"\x1b" not in log.path.read_bytes()


def test_a_crash_at_any_byte_of_a_line_is_repaired_and_said(tmp_path: Path, key: Path) -> None:
    log = make_log(tmp_path / "store", 4)
    data = log.path.read_bytes()
    start = data[:-1].rfind(b"\n") + 1
    for size in (start, start + 1, start + 40, len(data) - 1):
        os.truncate(log.path, size)
        (found,) = verify(log.path.read_bytes(), read_kept(log.head_path), (), read_public(key))
        assert (found.kind, found.entry) == ("unfinished", 4)
        said: list[str] = []
        again = AuditLog(tmp_path / "store", nullcontext, "ben", note=said.append)
        again.begin()
        assert log.path.read_bytes().startswith(data)
        assert said == [f"Entry 4 of {log.path} was half written in a crash, and was completed."]
        repaired = again.entries()[-1]
        assert (repaired.action, repaired.details) == ("repaired", {"entry": 4, "bytes": len(data) - size})
        assert whole(again, key)
        log.path.write_bytes(data)
        log.head_path.write_bytes(head_of(tmp_path, key, log))


def head_of(tmp_path: Path, key: Path, log: AuditLog) -> bytes:
    """The head of the four entries, made again alike."""
    from selfedit.audit.head import Head, Kept
    from selfedit.audit.signing import given_signer
    from selfedit.files.chain import line_hash
    from selfedit.files.serialize import encode

    data = log.path.read_bytes()
    last = data.split(b"\n")[3]
    head = Head(4, line_hash(last), from_line(last).time).signed(given_signer(tmp_path / "store"))
    return encode(Kept(head, last.decode(), len(data))) + b"\n"


def test_a_log_that_was_cut_or_changed_at_its_end_is_not_gone_on_with(tmp_path: Path) -> None:
    log = make_log(tmp_path / "store", 6)
    data = log.path.read_bytes()
    lines = data.split(b"\n")[:-1]
    for tampered, said in (
        (b"\n".join(lines[:4]) + b"\n", "was cut: its head knows 6 entries"),
        (data[: len(data) // 2], "was cut"),
        (b"", "was cut"),
        (data + lines[-1] + b"\n", "has more than the 6 entries"),
        (data[:-5] + b"0}}}\n", "was changed at its end"),
        (data[:-10] + b"garbage", "was changed at its end"),
    ):
        log.path.write_bytes(tampered)
        with pytest.raises(UserError, match=said):
            log.record("read")
        assert log.path.read_bytes() == tampered
    log.path.write_bytes(data)
    log.head_path.unlink()
    with pytest.raises(UserError, match="the head of the audit log, is gone"):
        log.record("read")


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = make_log(tmp_path / "store", 3)
    before = log.path.read_bytes(), log.head_path.read_bytes()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(UserError, match="The disk ran full"):
        patch.setattr(os, "write", full)
        log.record("read")
    assert (log.path.read_bytes(), log.head_path.read_bytes()) == before
    assert log.record("read").number == 4 and whole(log)


def test_time_never_runs_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = make_log(tmp_path / "store", 3)
    last = log.entries()[-1].when

    class Yesterday(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(timezone.utc) - timedelta(days=1)

    monkeypatch.setattr("selfedit.audit.log.datetime", Yesterday)
    assert log.now() == last
    assert log.record("read").when == last and whole(log)
    assert [entry.number for entry in log.within(timedelta(hours=1))] == [4, 3, 2, 1]


def test_a_signed_log_is_gone_on_with_by_its_key_alone(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = make_log(tmp_path / "store", 3)
    assert whole(log, key)
    other = tmp_path / "keys" / "other.key"
    make_key(other)
    for given, said in ((str(other), "is signed by the key"), (None, "is signed: give its key")):
        if given is None:
            monkeypatch.delenv(KEY_FILE)
        else:
            monkeypatch.setenv(KEY_FILE, given)
        with pytest.raises(UserError, match=said):
            AuditLog(tmp_path / "store", nullcontext, "ana").record("read")
    monkeypatch.setenv(KEY, key.with_name("audit.key").read_text())
    assert AuditLog(tmp_path / "store", nullcontext, "ana").record("read").number == 4
    assert whole(log, key)
    (found,) = verify(
        log.path.read_bytes(), read_kept(log.head_path), (), read_public(other.with_name("other.key.pub"))
    )[:1]
    assert found.kind == "unsigned"


def test_signing_may_begin_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_log(tmp_path / "store", 3)
    path = tmp_path / "audit.key"
    make_key(path)
    monkeypatch.setenv(KEY_FILE, str(path))
    log = AuditLog(tmp_path / "store", nullcontext, "ana")
    log.record("read")
    log.record("read")
    assert whole(log, path.with_name("audit.key.pub"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, key: Path, mode: int) -> None:
    key.with_name("audit.key").chmod(mode)
    with pytest.raises(UserError, match=r"Others can read the key .*: run 'chmod 600 "):
        make_log(tmp_path / "store", 1)
    assert not (tmp_path / "store" / "audit.jsonl").exists()


def test_keys_that_are_none(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "bad.key"
    bad.write_text("-----BEGIN PRIVATE KEY-----\nnothing\n-----END PRIVATE KEY-----\n")
    bad.chmod(0o600)
    inside = tmp_path / "store" / "audit.key"
    inside.parent.mkdir()
    for path, said in (
        (bad, "is no private Ed25519 key in PEM"),
        (key, "Others can read|is no private Ed25519 key"),
        (tmp_path / "none", "Cannot read"),
        (tmp_path, "Others can read|is no private"),
        (inside, "lies in the store"),
    ):
        monkeypatch.setenv(KEY_FILE, str(path))
        with pytest.raises(UserError, match=said):
            make_log(tmp_path / "store", 1)
    with pytest.raises(UserError, match="is no public Ed25519 key"):
        read_public(key.with_name("audit.key"))
    with pytest.raises(UserError, match="is there already"):
        make_key(key.with_name("audit.key"))


def test_reading_backwards_reads_the_same_lines(tmp_path: Path) -> None:
    draw = random.Random(0)
    path = tmp_path / "lines"
    for count in (1, 2, 50):
        lines = [
            bytes(draw.choices(b"abc", k=draw.choice([1, 10, 65535, 65536, 65537, 200_000]))) for _ in range(count)
        ]
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        assert list(_backwards(path)) == lines[::-1]


@pytest.mark.parametrize("name", ["", " ana", "a\nb", "a\x1b[2J", "a" * 101, "\u202eana"])
def test_actors_are_short_printable_lines(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="An actor is one line"):
        checked_actor(name)
    if name:
        monkeypatch.setenv("SELFEDIT_ACTOR", name)
        with pytest.raises(UserError):
            default_actor()
