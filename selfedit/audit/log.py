"""The audit log of a store: a file of lines that is only appended to, each bound to the one before, and its head."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from selfedit.audit.entry import Action, Entry, from_line, to_line
from selfedit.audit.head import Head, Kept, read_kept, write_kept
from selfedit.audit.signing import KEY, KEY_FILE, Signer, given_signer
from selfedit.errors import UserError
from selfedit.files.chain import FIRST, line_hash
from selfedit.files.disk import reading, writing

LOG_FILE, HEAD_FILE = "audit.jsonl", "audit-head.json"

_INSTEAD = "free some space"
_VERIFY = "'selfedit audit verify' says what is wrong"
_BLOCK_BYTES = 1 << 16


class AuditLog:
    """Written by whoever holds the store's lock; read by anybody.

    The head, signed where there is a key, is written with the next line before the line itself: a line that a crash cut
    off is completed from there, and a log that is shorter than that, or longer than its head says, was tampered with.

    Args:
        folder: of the store.
        lock: the store's, which the same thread may take twice.
        actor: who acts.
        began: what a new log says of what is in the store already.
        note: is told what was repaired.
    """

    def __init__(
        self,
        folder: Path,
        lock: Callable[[], AbstractContextManager[object]],
        actor: str,
        began: Callable[[], Mapping[str, Any]] = dict,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path, self.actor = folder / LOG_FILE, actor
        self._folder, self.head_path = folder, folder / HEAD_FILE
        self._lock, self._began, self._note = lock, began, note

    def record(
        self,
        action: Action,
        subject: str = "",
        *,
        hashes: Mapping[str, Sequence[str]] | None = None,
        rules: str | None = None,
        **details: Any,
    ) -> Entry:
        """Say that something is done; the line is on the disk when this returns.

        Args:
            hashes: by kind: document, edit, recipe, adapter, version.
            rules: the hash of the rules from now on; None leaves them as they are.

        Raises:
            UserError: the log was cut or changed at its end, it is signed and the key is not given, or it cannot be
                written.
        """
        with self._lock(), writing(self._folder, _INSTEAD):
            self.begin()
            each = {kind: tuple(values) for kind, values in (hashes or {}).items()}
            return self._append(action, subject, each, details, rules)

    def begin(self) -> None:
        """See to it that there is a log and that its end is whole."""
        with self._lock(), writing(self._folder, _INSTEAD):
            kept = self._kept()
            if kept is None:
                self._append("began", "", {}, self._began(), None)
                return
            self._check_key(kept.head)
            if missing := self._missing(kept):
                self._write(missing)
                text = f"Entry {kept.head.count} of {self.path} was half written in a crash, and was completed."
                self._note(text)
                self._append("repaired", "", {}, {"entry": kept.head.count, "bytes": len(missing)}, None)

    @property
    def head(self) -> Head | None:
        """What stands for the whole log, as it was written last; None where nothing was yet."""
        kept = self._kept()
        return None if kept is None else kept.head

    @property
    def rules(self) -> str:
        """The hash of the rules in force; empty where there are none. Raises UserError where the head is damaged."""
        kept = self._kept()
        return "" if kept is None else _entry(kept.last.encode(), self.path).rules

    def now(self) -> datetime:
        """The time by the clock, but never earlier than the last entry."""
        kept = self._kept()
        clock = datetime.now(timezone.utc)
        return clock if kept is None else max(clock, _entry(kept.last.encode(), self.path).when)

    def entries(self) -> list[Entry]:
        """All entries, oldest first. Raises UserError when one cannot be read."""
        with reading(self.path):
            data = self.path.read_bytes() if self.path.exists() else b""
        return [_entry(line, self.path) for line in data.split(b"\n")[:-1]]

    def began_with(self) -> tuple[str, ...] | None:
        """The versions that were there when the log began; None where there is no log."""
        if not self.path.exists():
            return None
        with reading(self.path), self.path.open("rb") as file:
            line = file.readline().rstrip(b"\n")
        return tuple(_entry(line, self.path).details.get("versions", ())) if line else None

    def within(self, span: timedelta) -> list[Entry]:
        """The entries of the last hours or days, newest first. Call it under the lock, after `begin`.

        Raises:
            UserError: one of them was tampered with.
        """
        kept, since = self._kept(), self.now() - span
        entries: list[Entry] = []
        expected = kept.head.hash if kept is not None else FIRST
        for line in _backwards(self.path) if kept is not None else ():
            if line_hash(line) != expected:
                raise UserError(
                    f"{self.path} was changed: the line before entry {entries[-1].number} is not its own. {_VERIFY}."
                    if entries
                    else f"{self.path} was changed at its end: {_VERIFY}."
                )
            entry = _entry(line, self.path)
            if entry.when <= since:
                break
            entries.append(entry)
            expected = entry.before
        return entries

    @cached_property
    def _signer(self) -> Signer | None:
        return given_signer(self._folder)

    def _append(
        self,
        action: Action,
        subject: str,
        hashes: Mapping[str, tuple[str, ...]],
        details: Mapping[str, Any],
        rules: str | None,
    ) -> Entry:
        kept = self._kept()
        count, before, size = (0, FIRST, 0) if kept is None else (kept.head.count, kept.head.hash, kept.size)
        entry = Entry(
            number=count + 1,
            time=self.now().isoformat(timespec="microseconds"),
            actor=self.actor,
            action=action,
            subject=subject,
            hashes=hashes,
            details=details,
            rules=self.rules if rules is None else rules,
            before=before,
            signature="" if kept is None else kept.head.signature,
        )
        line = to_line(entry)
        head = Head(entry.number, line_hash(line), entry.time).signed(self._signer)
        write_kept(self.head_path, Kept(head, line.decode(), size + len(line) + 1))
        try:
            self._write(line + b"\n")
        except OSError:
            # Where nothing more can be written, the entry has not been.
            with suppress(OSError):
                os.truncate(self.path, size)
                if kept is None:
                    self.head_path.unlink()
                else:
                    write_kept(self.head_path, kept)
            raise
        return from_line(line)

    def _write(self, data: bytes) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _kept(self) -> Kept | None:
        kept = read_kept(self.head_path)
        if kept is None and self.path.exists() and self.path.stat().st_size:
            raise UserError(f"{self.head_path}, the head of the audit log, is gone. Restore it from a backup.")
        if kept is not None and line_hash(kept.last.encode()) != kept.head.hash:
            raise UserError(
                f"{self.head_path} was changed: it is not the head of its last line. Restore it from a backup."
            )
        return kept

    def _check_key(self, head: Head) -> None:
        """Raise UserError unless the head may be followed by another: nobody signs what somebody else wrote."""
        if not head.key:
            return
        if self._signer is None:
            raise UserError(
                f"The audit log of {self._folder} is signed: give its key, {head.key}, by {KEY_FILE} or {KEY}."
            )
        if self._signer.fingerprint != head.key:
            raise UserError(
                f"The audit log of {self._folder} is signed by the key {head.key}, and {self._signer.fingerprint} was "
                "given. Give the other one."
            )
        if not head.is_signed_by(self._signer.public):
            raise UserError(f"{self.head_path} was changed: its signature is not good. Restore it from a backup.")

    def _missing(self, kept: Kept) -> bytes:
        """What a crash left out of the last line.

        Raises:
            UserError: the log does not end as its head says, and no crash can have done that.
        """
        line = kept.last.encode() + b"\n"
        size = self.path.stat().st_size if self.path.exists() else 0
        start = kept.size - len(line)
        if size < start:
            raise UserError(
                f"{self.path} was cut: its head knows {kept.head.count} entries in {kept.size} bytes, {size} are left. "
                f"Restore it from a backup; {_VERIFY}."
            )
        if size > kept.size:
            raise UserError(f"{self.path} has more than the {kept.head.count} entries that its head knows: {_VERIFY}.")
        tail = b""
        if size:
            with reading(self.path), self.path.open("rb") as file:
                file.seek(start)
                tail = file.read()
        if not line.startswith(tail):
            raise UserError(f"{self.path} was changed at its end: {_VERIFY}.")
        return line[len(tail) :]


def _entry(line: bytes, path: Path) -> Entry:
    try:
        return from_line(line)
    except ValueError as error:
        raise UserError(f"{path} holds a line that is no entry ({error}): {_VERIFY}.") from None


def _backwards(path: Path) -> Iterator[bytes]:
    """The lines of a file that ends in a newline, last one first, without reading more of it than is asked for."""
    with reading(path), path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        rest = b""
        while at:
            step = min(_BLOCK_BYTES, at)
            at -= step
            file.seek(at)
            first, *lines = (file.read(step) + rest).split(b"\n")
            if lines and not lines[-1] and rest == b"" and at + step == path.stat().st_size:
                lines.pop()
            yield from reversed(lines)
            rest = first
        yield rest
