"""Collects headings and paragraphs, in reading order, into sections."""

from __future__ import annotations

from pathlib import Path

from selfedit.documents.base import Document, Section
from selfedit.errors import NotADocumentError
from selfedit.text.reading import humanised, sha256, shown


class Outline:
    """The title and sections of a document while it is read from top to bottom.

    The first level-1 heading is the title and no part of the sections' heading paths. A heading with nothing under
    it becomes text of the section around it, so that it is not lost.
    """

    def __init__(self) -> None:
        self._title = ""
        self._open: list[tuple[int, str]] = []
        self._bare = False
        self._paragraphs: list[str] = []
        self._sections: list[Section] = []

    def heading(self, level: int, text: str) -> None:
        """Begin a section at `level` (1 is the highest). A heading without text is ignored."""
        if not text:
            return
        self._close(level)
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        self._bare = not (level == 1 and not self._title)
        if self._bare:
            self._open.append((level, text))
        else:
            self._title = text

    def paragraph(self, text: str) -> None:
        """Add a paragraph, whose indentation is kept, to the section. Blank ones are ignored."""
        text = text.strip("\n").rstrip()
        if text:
            self._paragraphs.append(text)
            self._bare = False

    def document(self, path: Path, data: bytes, title: str = "") -> Document:
        """Return what was collected; `title` stands in for a missing level-1 heading, and the file's name for both.

        Raises NotADocumentError if there is no text.
        """
        self._close(0)
        if not self._sections:
            raise NotADocumentError(f"{shown(path)} holds no text to learn: give a file with paragraphs of text.")
        return Document(str(path), self._title or title or humanised(path), tuple(self._sections), sha256(data))

    def _close(self, level: int) -> None:
        """End the section before a heading at `level`."""
        names = [name for _, name in self._open]
        if self._paragraphs:
            self._sections.append(Section(" > ".join(names), "\n\n".join(self._paragraphs)))
            self._paragraphs = []
        elif self._bare and level <= self._open[-1][0]:
            self._sections.append(Section(" > ".join(names[:-1]), names[-1]))
        self._bare = False
