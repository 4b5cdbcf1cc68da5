"""How far a job is, as its work says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from selfedit import progress
from selfedit.serve.learning.job import Progress


class JobProgress(progress.Progress):
    """Tells each change.

    Args:
        tell: may raise, so that the work is given up there.
        note: is given what a person should read.
    """

    def __init__(self, tell: Callable[[Progress], None], note: Callable[[str], None]) -> None:
        self._tell, self._note = tell, note

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[progress.Bar]:
        self._tell(Progress(label, 0, total))
        yield _Bar(self._tell, label, total)

    def note(self, text: str) -> None:
        self._note(text)


class _Bar(progress.Bar):
    def __init__(self, tell: Callable[[Progress], None], label: str, total: int) -> None:
        self._tell, self._label, self._total, self._done = tell, label, total, 0

    def advance(self, amount: int = 1) -> None:
        self._done += amount
        self._tell(Progress(self._label, self._done, self._total))
