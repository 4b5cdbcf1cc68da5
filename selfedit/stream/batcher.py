"""What came, until there is enough of it or nothing more comes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from selfedit.stream.base import Changed

_PATIENCE = 10
"""A file waits for others for so many times the time to settle at most."""


class Batcher:
    """Collects files. One is settled when it has stayed as it is for a while, or is known to be whole.

    Args:
        settle: seconds of quiet.
        largest: files that may go together.
    """

    def __init__(self, settle: float, largest: int) -> None:
        self._settle, self._largest = settle, largest
        self._waiting: dict[Path, tuple[float, float]] = {}  # since when it is as it is, and since when it is settled
        self._last = float("-inf")

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, changed: Changed, now: float) -> None:
        """Take note of a file. `now` is in seconds of any clock that never goes back."""
        self._waiting.pop(changed.path, None)
        self._waiting[changed.path] = (now, now if changed.whole else now + self._settle)
        self._last = now

    def put_back(self, paths: Sequence[Path], now: float) -> None:
        """Take back what was given out, before all others, ready to go."""
        self._waiting = {path: (float("-inf"), now) for path in paths} | {
            path: times for path, times in self._waiting.items() if path not in paths
        }

    def drop(self, path: Path) -> None:
        """Forget a file."""
        self._waiting.pop(path, None)

    def take(self, now: float, at_once: bool = False) -> list[Path]:
        """The files that are to go now; none where it is better to wait.

        Args:
            at_once: nothing more comes, so that there is nothing to wait for.
        """
        chosen = self._due(now, at_once)[: self._largest]
        for path in chosen:
            del self._waiting[path]
        return chosen

    def is_ready(self, now: float, at_once: bool = False) -> bool:
        """Whether `take` would give something."""
        return bool(self._due(now, at_once))

    def wait(self, now: float, most: float) -> float:
        """Seconds until it is worth asking again, `most` at most."""
        at = [
            max(settled, min(self._last + self._settle, since + _PATIENCE * self._settle))
            for since, settled in self._waiting.values()
        ]
        return max(0.05, min([most, *(each - now for each in at)]))

    def _due(self, now: float, at_once: bool) -> list[Path]:
        settled = [path for path, (_, at) in self._waiting.items() if at_once or at <= now]
        if at_once or not settled:
            return settled
        since = min(self._waiting[path][0] for path in settled)
        quiet = now - self._last >= self._settle or now - since >= _PATIENCE * self._settle
        return settled if quiet or len(settled) >= self._largest else []
