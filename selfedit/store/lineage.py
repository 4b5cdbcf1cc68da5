"""Which version of a store is the active one, and which was when: a log that is only appended to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from selfedit.files.disk import reading, sync
from selfedit.files.serialize import decode, encode
from selfedit.types import Version

BASE = "base"
"""In place of a version's id: the bare base model, which knows nothing."""


@dataclass(frozen=True)
class Activation:
    """From `time` on `version`, an id or `BASE`, was the active one, because of `action`."""

    time: str
    version: str
    action: str


class Lineage:
    """The log. Its last whole line says what is active; half a line, of a process that died, says nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def history(self) -> list[Activation]:
        """All activations, oldest first. Raises UserError when the log cannot be read."""
        if not self._path.exists():
            return []
        with reading(self._path):
            data = self._path.read_bytes()
        activations = []
        for line in data.split(b"\n")[:-1]:
            with suppress(ValueError):
                activations.append(decode(Activation, line))
        return activations

    def active(self, ids: Sequence[str]) -> str | None:
        """The active one of the versions `ids`, which are in their order; None is the base.

        Stores of earlier releases have no log: there the newest is. So it is where the one that the log names was
        removed by hand.
        """
        history = self.history()
        if history and (history[-1].version == BASE or history[-1].version in ids):
            return None if history[-1].version == BASE else history[-1].version
        return ids[-1] if ids else None

    def activate(self, version: str | None, action: str) -> None:
        """Make a version, or with None the base, the active one; on the disk before this returns. Raises OSError."""
        time = datetime.now(timezone.utc).isoformat(timespec="seconds")
        line = encode(Activation(time, version or BASE, action)) + b"\n"
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            end = os.lseek(descriptor, 0, os.SEEK_END)
            if end and os.pread(descriptor, 1, end - 1) != b"\n":
                line = b"\n" + line  # Half a line stays one by itself.
            try:
                os.write(descriptor, line)
                os.fsync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, end)
                raise
        finally:
            os.close(descriptor)
        sync(self._path.parent)


def ancestors(heads: Sequence[Version], id: str) -> list[str]:
    """A version and those that it builds on, down to the one on the base; one that is gone ends the line."""
    parents = {head.id: head.parent for head in heads}
    path: list[str] = []
    at: str | None = id
    while at is not None:
        path.append(at)
        at = parents.get(at)
    return path
