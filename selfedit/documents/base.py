"""What documents, passages and questions are, and what reads a document. Their text is data, never instructions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class Section:
    """Text under one heading. `heading` is the path of headings below the document's title: 'A > B', or ''."""

    heading: str
    text: str


@dataclass(frozen=True)
class Question:
    """A question and its right answers, the gold one first.

    `title` (a document's title or file name) and `context` say which text it is about, where that is known.
    """

    question: str
    answers: tuple[str, ...]
    title: str = ""
    context: str = ""


@dataclass(frozen=True)
class Document:
    """A text with a title, in sections that hold at least one word, from the file `path` (as it was given).

    `sha256` is the hex digest of the file's bytes or, where one file holds many documents, of this one's UTF-8 text.
    """

    path: str
    title: str
    sections: tuple[Section, ...]
    sha256: str
    probes: tuple[Question, ...] = ()


@dataclass(frozen=True)
class Passage:
    """A piece of a document, short enough to learn at once. `document` is the document's path."""

    title: str
    text: str
    document: str
    probes: tuple[Question, ...] = ()


class DocumentReader(ABC):
    """Reads one file format."""

    suffixes: ClassVar[tuple[str, ...]]
    """Lower-case file suffixes, with the dot."""

    @abstractmethod
    def read(self, path: Path) -> list[Document]:
        """Return the file's documents, at least one.

        Raises NotADocumentError if the file holds no text, and UserError if it cannot be read.
        """
