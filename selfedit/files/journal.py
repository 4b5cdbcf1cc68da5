"""The progress of an unfinished piece of work, so that it can be taken up again after a crash or a kill."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from filelock import BaseFileLock, FileLock, Timeout

from selfedit.errors import UserError
from selfedit.files.chain import last_hash, line_hash
from selfedit.files.disk import sync, writing
from selfedit.files.serialize import decode, encode

T = TypeVar("T")

_INSTEAD = "use another --store"


class Records(ABC):
    """What was done, by kind and key.

    Attributes:
        folder: where what does not fit a record may be kept beside them; None where nothing is.
        owner: the folder that the user named, of which this is a part.
        instead: what the user may do where it cannot be written.
    """

    folder: Path | None
    owner: Path | None = None
    instead: str = ""

    @abstractmethod
    def put(self, kind: str, key: str, value: object) -> None:
        """Record a dataclass, or anything else that JSON holds; it replaces an earlier one of that kind and key."""

    @abstractmethod
    def get(self, kind: str, key: str, type_: type[T]) -> T | None:
        """The value recorded last under `kind` and `key`; None where there is none, or none of that type."""


class Unrecorded(Records):
    """For work that takes minutes and begins anew."""

    folder = None

    def put(self, kind: str, key: str, value: object) -> None:
        return

    def get(self, kind: str, key: str, type_: type[T]) -> T | None:
        return None


class Journal(Records):
    """Records one JSON line each, on the disk before `put` returns, with the hash of the line before.

    Held by one process at a time, for as long as it is open. The lock is a file beside the folder, which stays
    when the folder goes: removing a lock file lets two processes hold the same lock.
    """

    def __init__(self, folder: Path, lock: BaseFileLock, instead: str = _INSTEAD) -> None:
        self.folder: Path = folder
        self.owner: Path = folder.parent.parent
        self.instead, self._lock = instead, lock
        path = folder / "journal.jsonl"
        # Opened for appending, and unbuffered, so that a failed write leaves nothing to be written later.
        self._file = path.open("ab", buffering=0)
        data = path.read_bytes()
        self._records, self._end = read_records(data)
        self._before = last_hash(data[: self._end])
        self._file.truncate(self._end)
        sync(folder)

    @classmethod
    def open(cls, folder: Path, instead: str = _INSTEAD) -> Journal:
        """Open the journal in `folder`, made if need be, cutting off a last record that was not written whole.

        Args:
            instead: what the user may do where it cannot be had.

        Raises:
            UserError: another process has it open, or the folder cannot be written.
        """
        store = folder.parent.parent
        with writing(store, instead):
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(f"{folder}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise UserError(
                    f"Another selfedit{_owner(folder)} is already doing this in {store}; wait for it or {instead}."
                ) from None
            try:
                folder.mkdir(exist_ok=True)
                (folder / "pid").write_text(f"{os.getpid()}\n", encoding="utf-8")
                return cls(folder, lock, instead)
            except BaseException:
                lock.release()
                raise

    def put(self, kind: str, key: str, value: object) -> None:
        """Record a value.

        Raises:
            UserError: the disk is full or cannot be written. The journal stays as it was.
            ValueError: a number in `value` is not finite.
            TypeError: something in `value` has no form in JSON.
        """
        line = encode({"before": self._before, "kind": kind, "key": key, "value": value}) + b"\n"
        with writing(self.owner, self.instead):
            try:
                self._append(line)
            except OSError:
                with suppress(OSError):
                    self._file.truncate(self._end)
                raise
        self._end += len(line)
        self._before = line_hash(line[:-1])
        self._records[kind, key] = json.loads(line)["value"]

    def keys(self, kind: str) -> list[str]:
        """Every key recorded under `kind`, in the order of recording."""
        return [key for other, key in self._records if other == kind]

    def get(self, kind: str, key: str, type_: type[T]) -> T | None:
        if (kind, key) not in self._records:
            return None
        try:
            return decode(type_, encode(self._records[kind, key]))
        except ValueError:
            return None

    def close(self) -> None:
        """Let other processes have the journal."""
        self._file.close()
        self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, line: bytes) -> None:
        left = memoryview(line)
        while left:
            left = left[self._file.write(left) :]
        os.fsync(self._file.fileno())


def read_records(data: bytes) -> tuple[dict[tuple[str, str], Any], int]:
    """The records in `data`, and where the last whole one ends. What is garbled before that is passed over."""
    records: dict[tuple[str, str], Any] = {}
    start = end = 0
    while (newline := data.find(b"\n", start)) >= 0:
        line, start = data[start:newline], newline + 1
        with suppress(ValueError, KeyError, TypeError):
            record = json.loads(line)
            records[record["kind"], record["key"]] = record["value"]
            end = start
    return records, end


def _owner(folder: Path) -> str:
    try:
        return f" (pid {int((folder / 'pid').read_text(encoding='utf-8'))})"
    except (OSError, ValueError):
        return ""
