"""Texts, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from selfedit.guard import Known, Text, make_guard, screen
from selfedit.types import DocumentRef, Flag, Learnt, Probe, Task


def text(*passages: str, id: str = "d1", title: str = "Title", path: str = "title.md") -> Text:
    return Text(id, title, path, passages)


def learnt(title: str, passage: str, *questions: tuple[str, str], path: str = "") -> Learnt:
    probes = tuple(Probe(f"q{n}", question, (answer,)) for n, (question, answer) in enumerate(questions))
    document = DocumentRef(path or f"{title}.md", title, title.ljust(64, "0"))
    return Learnt(document, Task(f"{title}.p0", title, passage, probes), ())


def flags(guard: str, *texts: Text, known: Sequence[Learnt] = (), **settings: object) -> list[Flag]:
    return screen([make_guard(guard)], texts, Known(tuple(known), **settings))  # type: ignore[arg-type]


def is_flagged(guard: str, passage: str) -> bool:
    return bool(flags(guard, text(passage)))


@dataclass
class Script:
    """A reader whose answers are written down, by a word of the question and one of the text; else nothing."""

    said: dict[str, str]
    read_: dict[tuple[str, str], str]
    asked: list[str] = field(default_factory=list)

    def ask(self, questions: Sequence[str]) -> list[str]:
        self.asked += questions
        return [self.said.get(question, "") for question in questions]

    def read(self, questions: Sequence[tuple[str, str, str]]) -> list[str]:
        found = []
        for question, _, passage in questions:
            keys = [key for key in self.read_ if key[0] == question and key[1] in passage]
            found.append(self.read_[keys[0]] if keys else "")
        return found
