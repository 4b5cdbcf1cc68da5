"""Which worker does which chunk. It knows no clock and no network, and so serves a simulation as well."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

ATTEMPTS = 3
"""A chunk that failed so often is not tried again."""
STRAGGLER = 1.5
"""A chunk that takes so many times what it should is done elsewhere, too, once nothing else is left."""


@dataclass
class _Running:
    """A chunk under way, on one worker or, late, on two; by the worker, since when."""

    workers: dict[str, float] = field(default_factory=dict)


class Scheduler:
    """Hands out chunks, the longest first, until each has one result.

    Args:
        costs: of each chunk by its key, in any unit; what a unit takes is learnt from those that end.
    """

    def __init__(self, costs: Mapping[str, float]) -> None:
        self._costs = dict(costs)
        self._waiting = deque(sorted(self._costs, key=lambda key: -self._costs[key]))
        self._running: dict[str, _Running] = {}
        self._failed_on: dict[str, list[str]] = {}
        self._begun: dict[str, int] = dict.fromkeys(self._costs, 0)
        self._done_cost = self._done_seconds = 0.0

    @property
    def left(self) -> int:
        """Chunks without a result."""
        return len(self._waiting) + len(self._running)

    @property
    def waiting(self) -> int:
        """Chunks that no worker has."""
        return len(self._waiting)

    def begun(self, key: str) -> int:
        """How often a chunk was begun."""
        return self._begun[key]

    def next(self, worker: str, now: float, others: Collection[str] = ()) -> str | None:
        """A chunk for an idle worker: the longest that waits, or one that lags elsewhere; None if there is none for it.

        What failed on this worker goes to one of the `others`, if there is any on which it has not failed.
        """
        for place, key in enumerate(self._waiting):
            failed_on = self._failed_on.get(key, ())
            if worker in failed_on and any(other not in failed_on for other in others):
                continue
            del self._waiting[place]
            return self._begin(key, worker, now)
        straggler = None if self._waiting else self._straggler(now)
        return None if straggler is None else self._begin(straggler, worker, now)

    def done(self, key: str, worker: str, now: float) -> bool:
        """A result came. Whether it is the first of its chunk: others are thrown away."""
        running = self._running.pop(key, None)
        if running is None:
            return False
        if worker in running.workers:
            self._done_cost += self._costs[key]
            self._done_seconds += now - running.workers[worker]
        return True

    def failed(self, key: str, worker: str, *, blamed: bool = True) -> bool:
        """A chunk failed on a worker, or was lost with it. Whether it is given up, having failed too often.

        Args:
            blamed: whether the chunk may be why; not where a whole machine went.
        """
        running = self._running.get(key)
        if running is None or running.workers.pop(worker, None) is None:
            return False
        if blamed:
            self._failed_on.setdefault(key, []).append(worker)
        if len(self._failed_on.get(key, ())) >= ATTEMPTS:
            del self._running[key]
            return True
        if not running.workers:
            del self._running[key]
            self._waiting.appendleft(key)
        return False

    def seconds(self, key: str) -> float | None:
        """What a chunk should take; None until one has ended."""
        return self._costs[key] * self._done_seconds / self._done_cost if self._done_cost else None

    def _begin(self, key: str, worker: str, now: float) -> str:
        self._running.setdefault(key, _Running()).workers[worker] = now
        self._begun[key] += 1
        return key

    def _straggler(self, now: float) -> str | None:
        """The chunk that is furthest behind, of those that one worker alone has."""
        late = [
            ((now - next(iter(running.workers.values()))) / expected, key)
            for key, running in self._running.items()
            if len(running.workers) == 1 and (expected := self.seconds(key))
        ]
        behind, key = max(late, default=(0.0, ""))
        return key if behind >= STRAGGLER else None
