"""The loop: what comes is collected, learnt, and done with."""

from __future__ import annotations

from pathlib import Path

from selfedit.stream.base import Arrival, Aside, Changed, Clock, Event, Gone, Said, Source, Tell
from selfedit.stream.batcher import Batcher
from selfedit.stream.deleted import Deleted
from selfedit.stream.learner import Learner

_POLL_S = 1.0


class Stream:
    """One source into one store.

    Args:
        tell: is told what happens.
        status: is shown a line while there is nothing to do, and an empty one when there is again.
    """

    def __init__(
        self,
        source: Source,
        batcher: Batcher,
        learner: Learner,
        deleted: Deleted,
        clock: Clock,
        tell: Tell,
        status: Tell,
    ) -> None:
        self._source, self._batcher, self._learner, self._deleted = source, batcher, learner, deleted
        self._clock = clock
        self._tell, self._status = tell, status

    def run(self) -> None:
        """Go on until nothing more can come, and all that came is learnt or set aside, or waits for a person.

        Raises:
            UserError: nothing more can be learnt, by a fault of the machine or the store. What came is kept.
        """
        self._tell(Event("started", f"{self._source.name}", {"source": self._source.name}))
        try:
            while self.turn():
                pass
        finally:
            self._status(Event("status", ""))
            self._source.close()
        waiting = len(self._batcher) + len(self._learner.batch.items)
        text = f"{self._learner.learnt} documents learnt, {self._learner.asides} set aside, {waiting} left waiting"
        said = {"learnt": self._learner.learnt, "aside": self._learner.asides, "waiting": waiting}
        self._tell(Event("ended", text, said))

    def turn(self) -> bool:
        """Do what is to be done now, or wait for a moment; False at the end."""
        learner, batcher = self._learner, self._batcher
        if not learner.batch.items:
            paths = batcher.take(self._clock.seconds(), self._source.ended)
            if paths:
                self._status(Event("status", ""))
                self._back(learner.begin(paths))
        busy = learner.is_due
        if busy:
            self._status(Event("status", ""))
            self._back(learner.step())
        idle = not learner.batch.items and not len(batcher)
        if idle:
            self._deleted.settle(learner.said)
        if self._source.ended and (idle or learner.is_held):
            return False
        for arrival in self._source.poll(0 if busy or self._ready else self._wait()):
            self._take(arrival)
        return True

    @property
    def _ready(self) -> bool:
        return self._learner.is_due or (
            not self._learner.batch.items and self._batcher.is_ready(self._clock.seconds(), self._source.ended)
        )

    def _wait(self) -> float:
        self._status(Event("status", self._said()))
        return self._batcher.wait(self._clock.seconds(), _POLL_S) if not self._learner.batch.items else _POLL_S

    def _take(self, arrival: Arrival) -> None:
        if isinstance(arrival, Changed):
            self._batcher.add(arrival, self._clock.seconds())
        elif isinstance(arrival, Gone):
            self._batcher.drop(arrival.path)
            self._learner.said.pop(str(arrival.path), None)
            self._deleted.add(arrival.path)
        elif isinstance(arrival, Said):
            self._learner.feedback(arrival)
        elif isinstance(arrival, Aside):
            self._learner.set_aside(arrival)

    def _back(self, paths: list[Path]) -> None:
        self._batcher.put_back(paths, self._clock.seconds())

    def _said(self) -> str:
        learner, waiting = self._learner, len(self._batcher)
        parts = [f"{self._source.name}: {learner.learnt} learnt, {learner.asides} set aside"]
        if waiting:
            parts.append(f"{waiting} waiting")
        if learner.is_held:
            parts.append(f"{learner.batch.held} waits for approval")
        elif learner.until is not None:
            parts.append(f"a limit until {learner.until.astimezone():%H:%M:%S}")
        return ", ".join(parts)
