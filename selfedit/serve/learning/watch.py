"""`--watch`: the stream that watches a folder hands what it would learn to the server's jobs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any

from selfedit.errors import UserError
from selfedit.learn.run import LearnResult
from selfedit.serve.learning.jobs import Jobs
from selfedit.serve.learning.turns import Stopped
from selfedit.serve.logs import log
from selfedit.session import Session
from selfedit.stream.base import Arrival, Clock, Event
from selfedit.stream.folder import FolderSource, check_folder, system_wait
from selfedit.stream.start import SessionTeacher, StreamOptions, run_stream

_LOOK_S = 0.5


class Watcher:
    """A stream on a thread of its own. What it cannot learn is set aside, as by `selfedit watch`.

    Raises:
        UserError: the folder cannot be watched.
    """

    def __init__(
        self, folder: Path, session: Session, jobs: Jobs, settings: Mapping[str, Any], options: StreamOptions
    ) -> None:
        folder = folder.expanduser()
        check_folder(folder, session.store_path)
        self._folder, self._store, self._options = folder.resolve(), session.store_path, options
        self._ending = threading.Event()
        self._teacher = _JobTeacher(session, settings, jobs, self._ending)
        wait = system_wait(self._folder, self._store, lambda text: log("watch", said=text))
        self._source = _Source(self._folder, self._store, wait, Clock())
        self._source.ending = self._ending
        self._thread = threading.Thread(target=self._run, name="selfedit-watch", daemon=True)

    def start(self) -> None:
        """Begin with what is there."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is left is found again with the next start."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            run_stream(self._store, self._teacher, self._source, self._options, _tell, lambda _: None, self._folder)
        except Stopped:
            return
        except UserError as error:
            log("watching ended", logging.ERROR, why=str(error))
        except Exception as error:
            log("watching ended", logging.ERROR, error)


class _Source(FolderSource):
    ending: threading.Event

    def poll(self, seconds: float) -> Sequence[Arrival]:
        if self.ending.is_set():
            raise Stopped
        return super().poll(seconds)


class _JobTeacher(SessionTeacher):
    """Learns by jobs, and waits for each."""

    def __init__(self, session: Session, settings: Mapping[str, Any], jobs: Jobs, ending: threading.Event) -> None:
        super().__init__(session, settings)
        self._jobs, self._ending = jobs, ending

    def learn(self, paths: Sequence[Path]) -> LearnResult:
        result = self._jobs.folder(paths)
        while not self._ending.is_set():
            try:
                return result.result(_LOOK_S)
            except NotYet:
                continue
        raise Stopped


def _tell(event: Event) -> None:
    # Only what kind of thing happened: titles and paths are the users'.
    log("watch", kind=event.kind)
