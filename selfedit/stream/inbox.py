"""Documents that came as lines, each in a file of its own until it is learnt; and lines that are none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from selfedit.documents.base import Question
from selfedit.documents.squad import Row, read_rows
from selfedit.files.disk import exists, write_whole, writing
from selfedit.files.serialize import encode
from selfedit.stream.base import Aside

_SHORT = 1 << 12
"""Bytes of a line that is kept in the list of what was set aside; a longer one is a file beside it."""

_INSTEAD = "use another --store"


class Inbox:
    """A folder in the store. Its files are named by hashes, so that no path comes from what a line says.

    A document of the same id, or else title, takes the place of the one that waits, as a file does that is changed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def paths(self) -> list[Path]:
        """Of all documents that wait or are set aside, oldest first."""
        if not self.folder.is_dir():
            return []
        found = [(path.stat().st_mtime_ns, path) for path in self.folder.glob("*.json")]
        return [path for _, path in sorted(found)]

    def put(self, name: str, title: str, text: str, questions: Sequence[Question]) -> Path:
        """Keep a document; on the disk when this returns.

        Args:
            name: which one it is.

        Raises:
            UserError: it cannot be written.
        """
        path = self._path(name)
        rows = [{"question": each.question, "answers": list(each.answers)} for each in questions]
        data = encode([{"title": title, "context": text, "questions": rows}])
        if not exists(path) or path.read_bytes() != data:
            self._write(path, data)
        return path

    def ask(self, name: str, question: Question) -> Path:
        """Add a question to a document that waits.

        Raises:
            ValueError: none of that name does.
            UserError: it cannot be written.
        """
        path = self._path(" ".join(name.split()))
        if not exists(path):
            raise ValueError(
                "no document of its title waits: send a question after its document and before that is learnt, or "
                "without a title, as feedback"
            )
        (row,) = read_rows(path)
        return self.put(name, row.title, row.context, _with(row, question))

    def aside(self, key: str, where: str, why: str, line: bytes) -> Aside:
        """A line that is set aside, on the disk when this returns where it is long."""
        if len(line) <= _SHORT:
            return Aside(key, where, why, text=line.decode("utf-8", "backslashreplace"))
        path = self.folder.parent / "lines" / f"{key}.txt"
        self._write(path, line)
        return Aside(key, where, why, file=str(path))

    def done(self, path: Path) -> None:
        """Let go of a document that is learnt, if it is one of these."""
        if path.parent == self.folder:
            path.unlink(missing_ok=True)

    def _write(self, path: Path, data: bytes) -> None:
        with writing(path.parent, _INSTEAD):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)

    def _path(self, name: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"


def _with(row: Row, question: Question) -> list[Question]:
    return list(dict.fromkeys((*(Question(each.question, each.answers) for each in row.questions), question)))
