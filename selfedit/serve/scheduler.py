"""The one thread that runs the model. Others hand it jobs and hear of them through their callbacks."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext, suppress
from typing import TypeVar

from transformers import PreTrainedModel

from selfedit.generate.continuous import ContinuousBatch
from selfedit.generate.row import Row
from selfedit.serve.job import Failed, Job
from selfedit.serve.learning.turns import SharedTurns

T = TypeVar("T")

_Command = Callable[[], None]


class Scheduler:
    """Runs a batch on a thread of its own. All methods may be called from any thread.

    Between two steps it does what it was told in the meantime: let in, cancel, or lend the model to some piece of work,
    during which answers stand still.

    Args:
        turns: of what learns beside it, where something does.
    """

    def __init__(self, batch: ContinuousBatch, turns: SharedTurns | None = None) -> None:
        self._batch, self._turns = batch, turns
        self._commands: queue.SimpleQueue[_Command | None] = queue.SimpleQueue()
        self._jobs: dict[Row, Job] = {}
        self._thread = threading.Thread(target=self._run, name="selfedit-model", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End, whatever is under way, and put the model back as it was."""
        self._commands.put(None)
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether it answers."""
        return self._thread.is_alive()

    @property
    def rows(self) -> tuple[int, int]:
        """How many rows are live, and how many wait."""
        return self._batch.rows, self._batch.waiting

    def submit(self, job: Job) -> None:
        """Answer a job when its turn comes."""
        self._commands.put(lambda: self._enter(job))

    def cancel(self, job: Job) -> None:
        """Stop a job before the next step; nothing is told of it any more."""
        self._commands.put(lambda: self._leave(job))

    def between(self, work: Callable[[PreTrainedModel], T]) -> Future[T]:
        """Give the bare model to a piece of work between two steps. How long it takes is how long answers pause."""
        future: Future[T] = Future()

        def lend() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                with self._batch.lent() as model:
                    result = work(model)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._commands.put(lend)
        return future

    def _run(self) -> None:
        try:
            while True:
                busy = bool(self._batch.rows or self._batch.waiting)
                with suppress(queue.Empty):
                    while (command := self._commands.get(block=not busy)) is not None:
                        command()
                        busy = True  # Only what is there already.
                    return
                self._step()
        finally:
            self._fail(RuntimeError("the server is stopping"))
            self._batch.close()

    def _step(self) -> None:
        try:
            with self._turns.step() if self._turns is not None else nullcontext():
                pieces = self._batch.step()
        except Exception as error:
            self._fail(error)
            self._batch.reset()
            return
        moved: dict[Job, None] = {}
        for row, piece in pieces:
            if (job := self._jobs.get(row)) is not None:
                job.progressed(row, piece)
                moved[job] = None
        for job in moved:
            losers = job.losers()
            for row in losers:
                self._batch.cancel(row)
            job.drop(losers)
            if job.settle():
                self._forget(job)

    def _enter(self, job: Job) -> None:
        try:
            job.entered([self._batch.add(each.request, job.streams) for each in job.candidates])
        except Exception as error:
            job.tell(Failed(error))
            return
        self._jobs |= dict.fromkeys(job.rows, job)

    def _leave(self, job: Job) -> None:
        for row in job.rows:
            if row in self._jobs:
                self._batch.cancel(row)
        self._forget(job)

    def _forget(self, job: Job) -> None:
        for row in job.rows:
            self._jobs.pop(row, None)

    def _fail(self, error: Exception) -> None:
        for job in dict.fromkeys(self._jobs.values()):
            job.tell(Failed(error))
        self._jobs.clear()
