"""Who may write to a store: one process, and of that one thread, at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from selfedit.errors import UserError
from selfedit.files.disk import writing

_TIMEOUT_S = 60


class StoreLock:
    """Taken for the time of a block. Whoever has it may take it again.

    Args:
        folder: in which the lock file lies.
        store: as messages name it.
        instead: what else the user may do.
    """

    def __init__(self, folder: Path, store: Path, instead: str) -> None:
        self._folder, self._store, self._instead = folder, store, instead
        self._mine = threading.local()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Raises UserError when another process has it for a minute."""
        if getattr(self._mine, "held", False):
            yield
            return
        with writing(self._store, self._instead):
            self._folder.mkdir(exist_ok=True)
        # A new one each time: a lock must not be taken along into a forked process.
        lock = FileLock(self._folder / "lock")
        try:
            lock.acquire(timeout=_TIMEOUT_S)
        except Timeout:
            raise UserError(
                f"Another selfedit has been writing to {self._store} for {_TIMEOUT_S} s. "
                f"Wait for it or end it, or {self._instead}."
            ) from None
        self._mine.held = True
        try:
            yield
        finally:
            self._mine.held = False
            lock.release()
