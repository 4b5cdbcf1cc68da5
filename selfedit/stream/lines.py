"""JSON lines as a source: documents, questions about them, and feedback, from standard input."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from selfedit.documents.base import Question
from selfedit.documents.squad import parse_question, text_field
from selfedit.errors import nearest
from selfedit.stream.base import Arrival, Aside, Changed, Said, Source
from selfedit.stream.inbox import Inbox
from selfedit.text.reading import parse_json, shown

LONGEST = 1 << 22
"""Bytes of a line. Of a longer one no more than the beginning is ever in memory."""

_CHUNK, _LINES, _AT_ONCE, _BEGINNING = 1 << 16, 16, 256, 1000

_DOCUMENT = ("title", "text", "context", "id", "questions")
_QUESTION = ("question", "answer", "answers", "title", "is_impossible", "context")


@dataclass(frozen=True)
class Line:
    """A line without its end.

    Attributes:
        data: all of it or, where it is longer than `LONGEST`, its beginning.
        size: bytes.
        sha256: of the whole line, in hex.
    """

    number: int
    data: bytes
    size: int
    sha256: str


class Splitter:
    """Bytes to lines, in bounded memory."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest, self._number = longest, 0
        self._begin()

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that end in `data`."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._add(data[start:end])
            yield self._line()
            start = end + 1
        self._add(data[start:])

    def end(self) -> Iterator[Line]:
        """What follows the last newline."""
        if self._size:
            yield self._line()

    def _begin(self) -> None:
        self._kept, self._size, self._hash = bytearray(), 0, hashlib.sha256()

    def _add(self, data: bytes) -> None:
        self._size += len(data)
        self._hash.update(data)
        if self._size <= self._longest:
            self._kept += data
        else:
            self._kept = (self._kept + data)[:_BEGINNING]

    def _line(self) -> Line:
        self._number += 1
        line = Line(self._number, bytes(self._kept), self._size, self._hash.hexdigest())
        self._begin()
        return line


class LineSource(Source):
    """Reads in a thread of its own, a few lines ahead: whoever writes faster than is learnt has to wait.

    A document is in the inbox, on the disk, before it counts as having come.
    """

    def __init__(self, stream: BinaryIO, inbox: Inbox, name: str = "standard input") -> None:
        self.name = name
        self._inbox = inbox
        self._waiting: list[Arrival] = [Changed(path, whole=True) for path in inbox.paths()]
        self._lines: queue.Queue[Line | Exception | None] = queue.Queue(_LINES)
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def poll(self, seconds: float) -> Sequence[Arrival]:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            return waiting
        if self.ended:
            time.sleep(seconds)
            return ()
        arrivals: list[Arrival] = []
        try:
            line = self._lines.get(timeout=seconds) if seconds > 0 else self._lines.get_nowait()
            while not self._take(line, arrivals) and len(arrivals) < _AT_ONCE:
                line = self._lines.get_nowait()
        except queue.Empty:
            pass
        return arrivals

    def _take(self, line: Line | Exception | None, arrivals: list[Arrival]) -> bool:
        """Add what a line is; True at the end."""
        if isinstance(line, Exception):
            raise line
        if line is None:
            self.ended = True
            return True
        arrival = accepted(line, self._inbox)
        if arrival is not None:
            arrivals.append(arrival)
        return False

    def _read(self, stream: BinaryIO) -> None:
        splitter = Splitter()
        read = getattr(stream, "read1", stream.read)
        try:
            while chunk := read(_CHUNK):
                for line in splitter.feed(chunk):
                    self._lines.put(line)
            for line in splitter.end():
                self._lines.put(line)
            self._lines.put(None)
        except Exception as error:
            self._lines.put(error)


def accepted(line: Line, inbox: Inbox) -> Arrival | None:
    """What a line is, a document written into the inbox; None for an empty one."""
    if line.size > len(line.data):
        why = (
            f"it has {line.size} bytes, and {LONGEST} at most are read: its beginning alone is kept. Learn it as a file"
        )
        return refused(line, why, inbox)
    if not line.data.strip():
        return None
    try:
        fields = parsed(line)
        if "text" in fields or ("context" in fields and "question" not in fields):
            return Changed(inbox.put(*_document(fields)), whole=True)
        if "question" in fields and fields.get("title"):
            return Changed(inbox.ask(text_field(fields, "title"), _question(fields)), whole=True)
        if "question" in fields:
            return Said(fields, line.data, line.number)
        raise ValueError("it has neither 'text' (a document) nor 'question' (a question about one, or feedback)")
    except ValueError as error:
        return refused(line, str(error), inbox)


def refused(line: Line, why: str, inbox: Inbox) -> Aside:
    """The line, kept, with the reason."""
    return inbox.aside(line.sha256, f"line {line.number}", shown(why), line.data)


def parsed(line: Line) -> dict[str, Any]:
    """The object that a line holds. Raises ValueError where it holds none."""
    try:
        fields = parse_json(line.data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (at byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error.msg} at column {error.colno})") from None
    if not isinstance(fields, dict):
        raise ValueError("it is JSON, but not an object")
    return fields


def _document(fields: dict[str, Any]) -> tuple[str, str, str, list[Question]]:
    """Id, title, text and questions of a document."""
    _check_names(fields, _DOCUMENT)
    title = " ".join(text_field(fields, "title").split())
    text = text_field(fields, "text" if "text" in fields else "context")
    listed = fields.get("questions", [])
    if not isinstance(listed, list):
        raise ValueError("'questions' is not a list")
    questions = [parse_question(each) for each in listed]
    name = text_field(fields, "id") if "id" in fields else title
    return name, title, text, [question for question in questions if question is not None]


def _question(fields: dict[str, Any]) -> Question:
    _check_names(fields, _QUESTION)
    question = parse_question(fields)
    if question is None:
        raise ValueError("it is marked as one that has no answer")
    return question


def _check_names(fields: dict[str, Any], known: Sequence[str]) -> None:
    if unknown := [name for name in fields if name not in known]:
        raise ValueError(f"unknown field '{shown(unknown[0], 40)}'. {nearest(unknown[0], known)}")
