"""All jobs: those that wait, the one in work, and those that are over. For any thread."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from selfedit.errors import UserError
from selfedit.learn.run import LearnResult
from selfedit.serve.learning.job import CANCELLED, ENDED, Kind, LearningJob, Progress
from selfedit.serve.learning.spool import Given, Spool, printable

_KEPT = 1_000
"""Jobs that are over, of which is still known how they ended."""

_RETRIED = 100
"""Of these, so many may be done again: what was uploaded for them is kept."""


@dataclass(frozen=True)
class Watched:
    """Files of a watched folder, which the folder keeps, and what will come of them."""

    paths: tuple[Path, ...]
    result: Future[LearnResult] = field(default_factory=Future)


class FullError(UserError):
    """More jobs wait than may."""


class Jobs:
    """What is to be learnt, in its order. What was uploaded, and how each job stands, is on the disk.

    Args:
        most: that may wait.
        unwanted: called when the job in work is not wanted any more.
    """

    def __init__(self, store: Path, most: int, unwanted: Callable[[], None] = lambda: None) -> None:
        self._spool, self._most, self._unwanted = Spool(store), most, unwanted
        self._jobs: dict[str, LearningJob] = {}
        self._watched: dict[str, Watched] = {}
        self._last, self._only_reads = 0, False
        self._cancelled: set[str] = set()
        self._changed = threading.Condition()

    @property
    def spool(self) -> Spool:
        """What is on the disk."""
        return self._spool

    def open(self) -> None:
        """Take up what was left, as the only process that does. A job that was in work is next again.

        Raises:
            UserError: another process learns into this store, or it cannot be read or written.
        """
        self._spool.open()
        for job in self._spool.load():
            again = job.state == "learning"
            self._jobs[job.id] = replace(job, state="queued") if again else job
            self._last = job.number

    def read(self) -> None:
        """Only say what there is, also while another process learns. Raises UserError where it cannot be read."""
        self._only_reads = True
        self._jobs = {job.id: job for job in self._spool.load(tidy=False)}

    def close(self) -> None:
        """Let other processes have them."""
        self._spool.close()

    def list(self) -> list[LearningJob]:
        """All of them, the newest first."""
        with self._changed:
            if self._only_reads:
                self.read()
            return sorted(self._jobs.values(), key=lambda job: -job.number)

    def get(self, id: str) -> LearningJob | None:
        """One of them."""
        return next((job for job in self.list() if job.id == id), None) if self._only_reads else self._jobs.get(id)

    def upload(self, files: Sequence[Given], who: str, questions: bytes = b"", title: str = "") -> LearningJob:
        """Queue documents; they are on the disk when this returns.

        Args:
            questions: JSON lines, as for `selfedit learn --questions`.
            title: of the document, where there is one file.

        Raises:
            FullError: too many jobs wait.
            UploadError: it cannot be learnt.
            UserError: it cannot be written.
        """
        with self._changed:
            self._check_room()
            job = self._new("documents", (), who)
        return self._add(self._spool.put(job, files, questions, title))

    def feedback(self, who: str) -> LearningJob:
        """Queue what people said of answers; a job that waits to do that already is the one."""
        with self._changed:
            same = (job for job in self._jobs.values() if job.kind == "feedback" and job.state == "queued")
            if (job := next(same, None)) is not None:
                return job
            self._check_room()
            job = self._new("feedback", ("feedback",), who)
            self._spool.save(job)
            return self._add(job)

    def folder(self, paths: Sequence[Path]) -> Future[LearnResult]:
        """Queue files of a watched folder, and return what will come of it.

        Such a job is in memory alone: what is left of it after a restart, the stream that watches the folder knows. One
        of the same files that had to wait is done with.
        """
        with self._changed:
            waiting = [job for job in self._jobs.values() if job.kind == "folder" and job.until]
            for job in waiting:
                if self._watched[job.id].paths == tuple(paths):
                    self._forget(job)
            job = self._new("folder", tuple(printable(path.name) for path in paths), "")
            watched = self._watched[job.id] = Watched(tuple(paths))
            self._add(job)
            return watched.result

    def watched(self, job: LearningJob) -> Watched:
        """What a job of a watched folder is about."""
        return self._watched[job.id]

    def cancel(self, id: str) -> LearningJob:
        """Have a job not done, or given up where it is in work: then it ends soon after.

        Raises:
            UserError: it is over, or waits for approval.
        """
        with self._changed:
            job = self._jobs[id]
            if job.state in ENDED:
                raise UserError(f"{id} is over: it was {job.state}.")
            if job.awaits_approval:
                raise UserError(f"{id} waits for approval as {job.outcome.pending}: reject that, with a reason.")
            if job.state == "learning":
                self._cancelled.add(id)
                self._unwanted()
                return job
            if job.kind == "folder" and not self._watched[id].result.done():
                self._watched[id].result.set_exception(UserError(CANCELLED))
            return self.put(replace(job, state="cancelled", until="", reason=CANCELLED))

    def retry(self, id: str, allowed: Sequence[str] = ()) -> LearningJob:
        """Queue a job again that did not end well.

        Args:
            allowed: kinds of flags that are let through from now on.

        Raises:
            UserError: there is nothing of it to do again.
        """
        with self._changed:
            job = self._jobs[id]
            again = job.state in ("failed", "rejected", "waiting") and not job.awaits_approval
            if job.kind == "folder" or not (again or (job.state == "learned" and job.outcome.flags and allowed)):
                raise UserError(f"{id} is {job.state}: there is nothing to do again.")
            kinds = tuple(dict.fromkeys((*job.allowed, *allowed)))
            return self.put(replace(job, state="queued", reason="", until="", allowed=kinds))

    def put(self, job: LearningJob) -> LearningJob:
        """Say how a job stands now."""
        with self._changed:
            self._jobs[job.id] = job  # Also where the disk is full: there it is in work then, and done again.
            self._changed.notify_all()
            if job.kind != "folder":
                self._spool.save(job)
                if job.state in ("learned", "cancelled") and not job.outcome.flags:
                    self._spool.clear(job)
            return job

    def progressed(self, id: str, progress: Progress) -> None:
        """Say how far the job in work is."""
        self._jobs[id] = replace(self._jobs[id], progress=progress)

    def is_cancelled(self, id: str) -> bool:
        """Whether the job in work is not wanted any more."""
        return id in self._cancelled

    def take(self, seconds: float) -> LearningJob | None:
        """The next job, which is in work from now on; None where there is none within so many seconds."""
        with self._changed:
            if (job := self._next()) is None:
                self._changed.wait(seconds)
                job = self._next()
            if job is None:
                return None
            try:
                return self.put(replace(job, state="learning", until="", reason=""))
            except UserError:
                self._jobs[job.id] = job
                raise

    def wake(self) -> None:
        """Have `take` look again."""
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, id: str, seconds: float) -> LearningJob:
        """A job, when it is not queued or in work any more, or so many seconds have passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs[id].state not in ("queued", "learning"), seconds)
            return self._jobs[id]

    def _next(self) -> LearningJob | None:
        """In their order. Where one waits for approval, or until a limit allows it, those behind it wait, too."""
        now = datetime.now(timezone.utc)
        for job in sorted(self._jobs.values(), key=lambda job: job.number):
            if job.holds_up:
                return None
            if job.kind == "folder" and job.state == "waiting":
                continue  # It comes again, as another one.
            if job.until and datetime.fromisoformat(job.until) > now:
                return None
            if job.state == "queued" or job.until:
                return job
        return None

    def _check_room(self) -> None:
        # A folder's that waits comes again as another one.
        jobs = (job for job in self._jobs.values() if job.kind != "folder" or job.state != "waiting")
        waiting = sum(job.state not in ENDED for job in jobs)
        if waiting >= self._most:
            raise FullError(f"{waiting} jobs wait, and there is room for no more. Try again later.")

    def _new(self, kind: Kind, names: tuple[str, ...], who: str) -> LearningJob:
        self._last += 1
        return LearningJob(f"job-{secrets.token_hex(12)}", self._last, kind, names, who, int(time.time()))

    def _add(self, job: LearningJob) -> LearningJob:
        with self._changed:
            over = [each for each in self._jobs.values() if each.state in ENDED]
            for each in over[:-_KEPT]:
                self._forget(each)
                self._spool.remove(each)
            for each in over[-_KEPT:-_RETRIED]:
                self._spool.clear(each)
            self._jobs[job.id] = job
            self._changed.notify_all()
            return job

    def _forget(self, job: LearningJob) -> None:
        del self._jobs[job.id]
        self._watched.pop(job.id, None)
