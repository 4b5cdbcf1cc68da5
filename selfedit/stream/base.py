"""What streams are made of: where things come from, what comes, and the clock. Nothing here knows a model."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from selfedit.learn.run import LearnResult
from selfedit.types import DocumentRef


@dataclass(frozen=True)
class Changed:
    """A file with documents is new, or says something else.

    Attributes:
        whole: nobody is writing to it any more.
    """

    path: Path
    whole: bool = False


@dataclass(frozen=True)
class Gone:
    """A file is not there any more."""

    path: Path


@dataclass(frozen=True)
class Said:
    """Feedback, as the fields of a line.

    Attributes:
        line: as it came, and its `number`.
    """

    fields: Mapping[str, Any]
    line: bytes
    number: int


@dataclass(frozen=True)
class Aside:
    """What could not be learnt, and why.

    Attributes:
        key: of a document its hash; of a line, or a file that cannot be read, a hash of what is known of it.
        where: the file, or the number of the line.
        text: of a line, unless it is in `file`.
        time: UTC.
    """

    key: str
    where: str
    why: str
    title: str = ""
    text: str = ""
    file: str = ""
    time: str = ""


Arrival = Changed | Gone | Said | Aside


class Source(ABC):
    """Where things come from.

    Attributes:
        name: for people.
        ended: nothing more will come.
    """

    name: str
    ended: bool = False

    @abstractmethod
    def poll(self, seconds: float) -> Sequence[Arrival]:
        """What came, waiting for so long at most.

        Raises:
            UserError: nothing can come any more, since the folder is gone.
        """

    def close(self) -> None:
        """Let go of what it holds."""
        return


@dataclass(frozen=True)
class Item:
    """A file that is to be learnt, as it was read.

    Attributes:
        documents: with their paths as the store knows them.
        asked: whether questions came with it. Where some do and some do not, the model asks about none.
    """

    path: str
    documents: tuple[DocumentRef, ...]
    asked: bool


class Clock:
    """The time of day, and seconds that never go back."""

    def now(self) -> datetime:
        return datetime.now(timezone.utc)

    def seconds(self) -> float:
        return time.monotonic()


@dataclass(frozen=True)
class Event:
    """Something that happened: `kind` in a word, and what there is to say of it, fit for JSON."""

    kind: str
    text: str
    said: Mapping[str, Any] = field(default_factory=dict)


Tell = Callable[[Event], None]


class Teacher(Protocol):
    """What learns. `selfedit.stream.start.SessionTeacher` is the one there is."""

    def learn(self, paths: Sequence[Path]) -> LearnResult:
        """Learn documents.

        Raises:
            LimitError: the rules do not let them be learnt, or not now.
            UserError: something in the documents, or around them, does not allow it.
        """

    def forget(self, document: str) -> str:
        """Forget a document, by its hash, and return the id of the version without it."""

    def feedback(self, fields: Mapping[str, Any]) -> None:
        """Take what somebody said of an answer. Safe to do again.

        Raises:
            ValueError: it is no feedback; why.
        """

    def check(self) -> None:
        """Raise UserError where nothing at all could be learnt: a full disk, a log whose key is not given."""
