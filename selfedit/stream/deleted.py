"""Documents whose file is gone: known still, or forgotten where that is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from selfedit.learn.prepare import known_as
from selfedit.store import Store
from selfedit.stream.base import Event, Teacher, Tell
from selfedit.stream.folder import is_gone
from selfedit.stream.state import State
from selfedit.text.reading import shown
from selfedit.types import DocumentRef


class Deleted:
    """Files that are gone, until all that are there have been looked at: one may only have got another name.

    Args:
        forget: whether what they said is forgotten.
    """

    def __init__(self, teacher: Teacher, store: Store, state: State, tell: Tell, forget: bool) -> None:
        self._teacher, self._store, self._state, self._tell, self._forget = teacher, store, state, tell, forget
        self._gone: list[Path] = []

    def add(self, path: Path) -> None:
        """Take note that a file is gone."""
        self._gone.append(path)

    def add_missing(self, folder: Path) -> None:
        """Take note of files that went while nobody looked, if that matters."""
        inside = folder.resolve()
        files = [document for document in self._known() if not document.is_correction]
        paths = dict.fromkeys(self._store.home / document.path for document in files)
        if self._forget:
            self._gone += [path for path in paths if path.is_relative_to(inside) and is_gone(path)]

    def settle(self, said: Mapping[str, set[str]]) -> None:
        """Forget what they said, or say that it is known still.

        Args:
            said: the hashes of what each file says that is there.
        """
        gone, self._gone = self._gone, []
        there = {sha256 for each in said.values() for sha256 in each} if gone else set()
        for path in gone:
            name = known_as(path, self._store.path)
            for document in self._known():
                if document.path == name and document.sha256 not in there and is_gone(path):
                    self._settle(path, document)

    def _settle(self, path: Path, document: DocumentRef) -> None:
        short = document.sha256[:12]
        if not self._forget:
            text = f"{shown(path)} is gone, and is known still: selfedit forget {short}"
            self._tell(Event("deleted", text, {"path": str(path), "sha256": document.sha256}))
            return
        self._state.set_forgotten(document.path, document.sha256)
        version = self._teacher.forget(short)
        self._tell(Event("forgot", f"{shown(path)}: version {version}", {"path": str(path), "version": version}))

    def _known(self) -> tuple[DocumentRef, ...]:
        active = self._store.active
        return self._store.get(active).knowledge.documents if active is not None else ()
