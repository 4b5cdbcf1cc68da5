"""A session and a source to a stream that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from selfedit.errors import UserError
from selfedit.learn.run import LearnResult
from selfedit.session import Session
from selfedit.store import Store, parse_feedback
from selfedit.stream.base import Clock, Source, Teacher, Tell
from selfedit.stream.batcher import Batcher
from selfedit.stream.deleted import Deleted
from selfedit.stream.folder import FolderSource, check_folder, system_wait
from selfedit.stream.learner import Learner
from selfedit.stream.lines import LineSource
from selfedit.stream.state import State
from selfedit.stream.stream import Stream


@dataclass(frozen=True)
class StreamOptions:
    """How what comes is collected.

    Attributes:
        settle: seconds for which nothing new may have come, and a file has to stay as it is.
        at_once: files in a batch at most.
        forget_deleted: whether a document is forgotten whose file is gone.
    """

    settle: float = 5.0
    at_once: int = 16
    forget_deleted: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.settle <= 86_400:
            raise UserError(f"--settle is {self.settle:g}: give 0 to 86400 seconds.")
        if not 1 <= self.at_once <= 1000:
            raise UserError(f"--at-once is {self.at_once}: give 1 to 1000 files.")


class SessionTeacher(Teacher):
    """Learns in a session.

    Args:
        settings: of `Session.learn`.
    """

    def __init__(self, session: Session, settings: Mapping[str, Any]) -> None:
        self._session, self._settings = session, settings

    def learn(self, paths: Sequence[Path]) -> LearnResult:
        return self._session.learn(paths, **self._settings)

    def forget(self, document: str) -> str:
        version = self._session.forget(document).version
        assert version is not None  # Forgetting is never held back.
        return version.id

    def feedback(self, fields: Mapping[str, Any]) -> None:
        self._session.feedback([parse_feedback(fields)])

    def check(self) -> None:
        self._session.check_learn(**self._settings)
        store = self._session.store
        store.audit.begin()
        _ = store.rules
        if store.active is not None:
            store.get()


def watch(
    session: Session, folder: Path, options: StreamOptions, settings: Mapping[str, Any], tell: Tell, status: Tell
) -> None:
    """Learn what is in a folder and what comes into it, until interrupted. `tell` and `status`: see `Stream`.

    Raises:
        UserError: the folder cannot be watched, or nothing can be learnt.
    """
    folder = Path(folder).expanduser()
    check_folder(folder, session.store_path)
    folder = folder.resolve()
    wait = system_wait(folder, session.store_path, session.progress.note)
    source = FolderSource(folder, session.store_path, wait, Clock())
    _check(session, settings)
    run_stream(session.store_path, SessionTeacher(session, settings), source, options, tell, status, folder)


def learn_lines(
    session: Session, lines: BinaryIO, options: StreamOptions, settings: Mapping[str, Any], tell: Tell, status: Tell
) -> None:
    """Learn documents that come as JSON lines, until there are no more. `tell` and `status`: see `Stream`.

    Raises:
        UserError: nothing can be learnt.
    """
    _check(session, settings)
    run_stream(session.store_path, SessionTeacher(session, settings), lines, options, tell, status)


def run_stream(
    path: Path,
    teacher: Teacher,
    come: Source | BinaryIO,
    options: StreamOptions,
    tell: Tell,
    status: Tell,
    folder: Path | None = None,
) -> None:
    """Have a teacher learn what comes, into the store at `path`, until nothing more can come.

    Raises:
        UserError: nothing can be learnt.
    """
    store = Store.open(path, create=True)
    teacher.check()
    with closing(State(store.path)) as state:
        clock = Clock()
        source = come if isinstance(come, Source) else LineSource(come, state.inbox)
        learner = Learner(teacher, store, state, clock, tell, options.at_once)
        deleted = Deleted(teacher, store, state, tell, options.forget_deleted)
        if folder is not None:
            deleted.add_missing(folder)
        batcher = Batcher(options.settle, options.at_once)
        Stream(source, batcher, learner, deleted, clock, tell, status).run()


def _check(session: Session, settings: Mapping[str, Any]) -> None:
    """Find what is wrong with settings or model before anything is waited for: it is wrong for all documents."""
    session.check_learn(**settings)
    Store.open(session.store_path, create=True)
    SessionTeacher(session, settings).check()
    _ = session.base
