"""What a person does with versions and says of answers, by the store's rules, its gates' records and its log."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from selfedit.errors import NotAllowedError, UserError, nearest
from selfedit.rules import LimitError
from selfedit.serve.errors import ApiError
from selfedit.serve.learning.job import LearningJob
from selfedit.serve.learning.jobs import FullError, Jobs
from selfedit.serve.learning.spool import Given, UploadError
from selfedit.session import Session
from selfedit.store import BASE, DocumentDiff, Feedback, Store, document_diffs
from selfedit.types import Version


class Control:
    """A store and its jobs, as clients may use them. For any thread; each call may wait for others that write.

    `who` is the name of whoever acts, for the audit log; empty stands for whoever runs the server. All methods raise
    ApiError.

    Args:
        read_only: nothing is written.
    """

    def __init__(self, store: Path, jobs: Jobs, read_only: bool = False) -> None:
        self._path, self.jobs, self.read_only = store, jobs, read_only

    @property
    def active(self) -> str:
        """The id of the active version, or "base"."""
        with _reading():
            return self._store().active or BASE

    def versions(self, letter: str = "v") -> list[Version]:
        """All versions without rollouts and what each knows, oldest first.

        Args:
            letter: v for those that took effect, r for those that were set aside, p for those that wait.
        """
        with _reading():
            return self._store().heads(letter)  # type: ignore[arg-type]

    def version(self, id: str) -> Version:
        """One version in full, of any kind."""
        with _reading():
            store = self._store()
            self._check(id, [each for letter in ("v", "r", "p") for each in store.ids(letter)])
            return store.get(id)

    def differences(self, version: Version) -> list[DocumentDiff]:
        """What the documents of a version say now and did not say before."""
        with _reading():
            return document_diffs(self._store(), version)

    def use(self, id: str, who: str) -> str:
        """Make a version, or "base", the active one, and return its id."""
        with self._writing():
            session = self._session(who)
            if id != BASE:
                self._check(id, [*session.store.ids(), *session.store.ids("r"), *session.store.ids("p")])
            session.use(None if id == BASE else id)
            return id

    def rollback(self, steps: int, who: str) -> str:
        """Go back by some versions, and return the id of the one that is active then, or "base"."""
        with self._writing():
            return self._session(who).rollback(steps) or BASE

    def approve(self, id: str, who: str, adapter: str = "") -> Version:
        """Let what waits take effect, and return it under its new id.

        Args:
            adapter: the beginning of the hash of the weights that were looked at.
        """
        with self._writing():
            session = self._session(who)
            self._check(id, session.store.ids("p"), "Nothing waits as")
            return session.approve(id, adapter)

    def reject(self, id: str, why: str, who: str) -> Version:
        """Set aside what waits, and return it under its new id."""
        with self._writing():
            session = self._session(who)
            self._check(id, session.store.ids("p"), "Nothing waits as")
            return session.reject(id, why)

    def feedback(self) -> list[Feedback]:
        """What people said of answers, oldest first."""
        with _reading():
            return self._store().feedback.all()

    def give_feedback(self, given: Feedback, who: str, learn: bool = False) -> tuple[Feedback, LearningJob | None]:
        """Store what somebody said of an answer, and if `learn`, queue a job that learns it."""
        with self._writing():
            (stored,) = self._session(who).feedback([given])
            return stored, self.jobs.feedback(who) if learn else None

    def learn_feedback(self, who: str) -> LearningJob:
        """Queue a job that learns what people said."""
        with self._writing():
            return self.jobs.feedback(who)

    def upload(self, files: Sequence[Given], who: str, questions: bytes = b"", title: str = "") -> LearningJob:
        """Queue documents; see `Jobs.upload`."""
        with self._writing():
            return self.jobs.upload(files, who, questions, title)

    def job(self, id: str) -> LearningJob:
        """One job."""
        job = self.jobs.get(id)
        if job is None:
            raise ApiError(404, f"There is no job {id[:40]!r}. GET /v1/documents lists them.", "id", "not_found")
        return job

    def cancel(self, id: str) -> LearningJob:
        """Have a job not done, or given up where it is in work."""
        return self._of_job(id, lambda: self.jobs.cancel(id))

    def retry(self, id: str, allowed: Sequence[str] = ()) -> LearningJob:
        """Queue a job again that did not end well, with kinds of flags let through."""
        return self._of_job(id, lambda: self.jobs.retry(id, allowed))

    def _of_job(self, id: str, work: Callable[[], LearningJob]) -> LearningJob:
        with self._writing():
            self.job(id)
            return work()

    def _store(self) -> Store:
        return Store.open(self._path)

    def _session(self, who: str) -> Session:
        return Session(None, self._path, actor=who or None)

    def _check(self, id: str, known: Sequence[str], what: str = "There is no version") -> None:
        if id not in known:
            raise ApiError(404, f"{what} {id[:40]!r}. {nearest(id, known)}", "id", "not_found")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self.read_only:
            raise ApiError(403, "This server only reads: it was started with --read-only.", code="read_only")
        try:
            yield
        except NotAllowedError as error:
            raise ApiError(403, str(error), code="not_allowed") from error
        except FullError as error:
            raise ApiError(429, str(error), code="queue_full", headers={"Retry-After": "60"}) from error
        except UploadError as error:
            raise ApiError(415 if error.part == "file" else 400, str(error), error.part, "unreadable") from error
        except LimitError as error:
            raise _limited(error) from error
        except UserError as error:
            raise ApiError(409, str(error)) from error


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise ApiError(500, f"The store cannot be read: {error}", code="store_unreadable") from error


def _limited(error: LimitError) -> ApiError:
    if error.until is None:
        return ApiError(403, str(error), code="not_allowed")
    seconds = max(1, math.ceil((error.until - datetime.now(timezone.utc)).total_seconds()))
    return ApiError(429, str(error), code="limit", headers={"Retry-After": str(seconds)})
