"""The thread that learns: one job after another, each as `selfedit learn` would do it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from selfedit.documents import Document, read_documents
from selfedit.errors import UserError
from selfedit.learn.prepare import known_as
from selfedit.learn.run import LearnResult
from selfedit.models.load import BaseModel
from selfedit.rules import LimitError
from selfedit.serve.learning.job import CANCELLED, LearningJob, Progress
from selfedit.serve.learning.jobs import Jobs
from selfedit.serve.learning.outcome import of_feedback, of_learning, of_version, settled
from selfedit.serve.learning.progress import JobProgress
from selfedit.serve.learning.turns import SharedTurns, Stopped
from selfedit.serve.logs import log
from selfedit.serve.metrics import Metrics
from selfedit.session import Session
from selfedit.store import Store
from selfedit.stream.known import Known
from selfedit.types import DocumentRef, Version

_LOOK_S = 1.0
"""So often is looked whether somebody approved what waits, or a limit has passed."""


class Runner:
    """Does the jobs on a thread of its own, with a model of its own over the weights of the one that answers.

    Args:
        base: its `turns` are `turns`.
        settings: of `Session.learn`.
    """

    def __init__(
        self,
        base: BaseModel,
        turns: SharedTurns,
        store: Path,
        jobs: Jobs,
        settings: Mapping[str, Any],
        metrics: Metrics,
    ) -> None:
        self._base, self._turns, self._store_path, self._jobs = base, turns, store, jobs
        self._settings, self._metrics = settings, metrics
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="selfedit-learning", daemon=True)

    def start(self) -> None:
        """Begin with what was left."""
        self._thread.start()

    def stop(self) -> None:
        """End; the job in work goes on from where it is with the next start."""
        self._ending.set()
        self._turns.stop()
        self._jobs.wake()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether it learns, or waits for something to learn."""
        return self._thread.is_alive()

    def settle_held(self) -> None:
        """Say of jobs that waited for approval what became of them, if somebody has decided by now."""
        for job in self._jobs.list():
            if job.awaits_approval and (now := settled(self._store, job)) is not None:
                self._jobs.put(now)

    @property
    def _store(self) -> Store:
        return Store.open(self._store_path)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self.settle_held()
                if (job := self._jobs.take(_LOOK_S)) is not None:
                    self._do(job)
            except Exception as error:  # The store is gone, or the disk full: it may be back.
                log("learning failed", logging.ERROR, error)
                self._ending.wait(_LOOK_S)
            if not self._ending.is_set():
                self._turns.go_on()

    def _do(self, job: LearningJob) -> None:
        """Do a job, and say how it ended; nothing where the server ends before."""
        try:
            done = self._learnt(job)
        except Stopped:
            if self._ending.is_set():
                return
            done = replace(job, state="cancelled", reason=CANCELLED)
            made = self._known(self._jobs.spool.documents(job)) if job.kind == "documents" else None
            done = of_version(job, made) if made is not None else done  # It was too late.
        except LimitError as error:
            never = error.until is None
            until = "" if error.until is None else error.until.isoformat()
            done = replace(job, state="rejected" if never else "waiting", reason=str(error), until=until)
        except UserError as error:
            done = replace(job, state="failed", reason=str(error))
        except Exception as error:
            log("learning failed", logging.ERROR, error, job=job.id)
            done = replace(job, state="failed", reason=f"the server has a fault ({type(error).__name__}): see its log")
        self._jobs.put(replace(done, progress=Progress()))
        self._metrics.jobs.labels(done.kind, done.state).inc()
        log("job", id=job.id, kind=job.kind, state=done.state, version=done.outcome.version or None)

    def _learnt(self, job: LearningJob) -> LearningJob:
        """What came of a job. Raises as `Session.learn` does, and Stopped where it is to be given up."""
        session = Session(
            None,
            self._store_path,
            progress=JobProgress(lambda now: self._progressed(job, now), lambda text: None),
            actor=job.who or None,
            base=self._base,
        )
        allowed = (*self._settings.get("allow_flagged", ()), *job.allowed)
        settings = {**self._settings, **({"allow_flagged": allowed} if allowed else {})}
        if job.kind == "feedback":
            return of_feedback(job, session.learn_feedback(**settings))
        if job.kind == "folder":
            return self._learnt_folder(job, session, settings)
        documents = self._jobs.spool.documents(job)
        self._jobs.spool.publish(job)
        if (questions := self._jobs.spool.questions(job)) is not None:
            settings["questions"] = questions
        result = session.learn(documents, **settings)
        return of_learning(job, result, self._known(documents))

    def _learnt_folder(self, job: LearningJob, session: Session, settings: Mapping[str, Any]) -> LearningJob:
        """The same of files of a watched folder; whoever watches it is given what came of it, too."""
        watched = self._jobs.watched(job)
        try:
            result: LearnResult = session.learn(watched.paths, **settings)
        except BaseException as error:
            gone = isinstance(error, Stopped) and not self._ending.is_set()
            watched.result.set_exception(UserError(CANCELLED) if gone else error)
            raise
        watched.result.set_result(result)
        return of_learning(job, result, self._known(read_documents(watched.paths)))

    def _known(self, documents: Sequence[Document]) -> Version | None:
        """The version that taught these very documents to the active one, if all of them are known."""
        known = Known(self._store)
        references = [DocumentRef(known_as(each.path, self._store_path), each.title, each.sha256) for each in documents]
        return known.version_of(references) if all(map(known.is_active, references)) else None

    def _progressed(self, job: LearningJob, now: Progress) -> None:
        if self._ending.is_set() or self._jobs.is_cancelled(job.id):
            raise Stopped
        self._jobs.progressed(job.id, now)
