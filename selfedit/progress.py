"""How long work shows itself: a bar on a terminal, plain lines elsewhere, nothing when quiet. Always on stderr."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from selfedit.text.harmless import one_line


class Bar(ABC):
    """One piece of long work under way."""

    @abstractmethod
    def advance(self, amount: int = 1) -> None:
        """Count `amount` more units as done."""


class Progress(ABC):
    """Where long work reports to."""

    @abstractmethod
    def bar(self, label: str, total: int, unit: str) -> AbstractContextManager[Bar]:
        """Open a bar over `total` units of work."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Show one line that the user should read."""


class QuietProgress(Progress):
    """Shows nothing."""

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        yield _SilentBar()

    def note(self, text: str) -> None:
        return


class _SilentBar(Bar):
    def advance(self, amount: int = 1) -> None:
        return


class LineProgress(Progress):
    """Plain lines for logs and pipes: at most one every `every_s` seconds, and one at the end."""

    def __init__(self, stream: TextIO | None = None, every_s: float = 10.0) -> None:
        self._stream = stream or sys.stderr
        self._every_s = every_s

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        bar = _LineBar(self, label, total, unit, self._every_s)
        yield bar
        bar.finish()

    def note(self, text: str) -> None:
        print(one_line(text), file=self._stream, flush=True)


class _LineBar(Bar):
    def __init__(self, progress: LineProgress, label: str, total: int, unit: str, every_s: float) -> None:
        self._progress, self._label, self._total, self._unit, self._every_s = progress, label, total, unit, every_s
        self._done = 0
        self._started = self._printed = time.monotonic()

    def advance(self, amount: int = 1) -> None:
        self._done += amount
        now = time.monotonic()
        if now - self._printed >= self._every_s:
            self._printed = now
            rate = self._done / max(now - self._started, 1e-9)
            left = (self._total - self._done) / max(rate, 1e-9)
            self._progress.note(
                f"{self._label}: {self._done}/{self._total} {self._unit}, {rate:.1f}/s, about {left:.0f} s left"
            )

    def finish(self) -> None:
        seconds = time.monotonic() - self._started
        self._progress.note(f"{self._label}: {self._done} {self._unit} in {seconds:.1f} s")


class TerminalProgress(Progress):
    """Rich bars with rate and time left."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        columns = (
            TextColumn("{task.description:<22}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with RichProgress(*columns, console=self._console) as rich:
            yield _RichBar(rich, rich.add_task(label, total=total, rate=""))

    def note(self, text: str) -> None:
        self._console.print(one_line(text), highlight=False, markup=False)


class _RichBar(Bar):
    def __init__(self, rich: RichProgress, task: TaskID) -> None:
        self._rich, self._task = rich, task

    def advance(self, amount: int = 1) -> None:
        self._rich.advance(self._task, amount)
        speed = self._rich.tasks[self._task].speed
        self._rich.update(self._task, rate=f"{speed:.1f}/s" if speed else "")


def make_progress(quiet: bool = False) -> Progress:
    """Choose the way to show progress for this process's stderr."""
    if quiet:
        return QuietProgress()
    return TerminalProgress() if sys.stderr.isatty() else LineProgress()
