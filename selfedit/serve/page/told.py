"""A version as it is told to people: its passages, each with its self-edits and questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from selfedit.policies.formats import parse_pairs
from selfedit.policies.spans import sentences
from selfedit.text.matching import answer_in_passage
from selfedit.types import DocumentRef, Lesson, Rollout, Task, Version


@dataclass(frozen=True)
class Asked:
    """A question with the right answer, and what was answered before the update and after it."""

    question: str
    gold: str
    before: str
    after: str
    was_right: bool
    is_right: bool

    @property
    def became(self) -> str:
        """What the update made of it."""
        if self.is_right:
            return "kept" if self.was_right else "learnt"
        return "lost" if self.was_right else "missed"


@dataclass(frozen=True)
class Edit:
    """A self-edit; `pairs` are the questions with answers in it, where it is of such."""

    rollout: Rollout
    pairs: tuple[Lesson, ...]


@dataclass(frozen=True)
class Passage:
    """A passage; each sentence with whether a kept self-edit asks about it."""

    title: str
    sentences: tuple[tuple[str, bool], ...]
    edits: tuple[Edit, ...]
    questions: tuple[Asked, ...]

    @property
    def covered(self) -> int:
        return sum(is_covered for _, is_covered in self.sentences)

    @property
    def right(self) -> int:
        return sum(asked.is_right for asked in self.questions)


@dataclass(frozen=True)
class Document:
    """A document with what of it is new in a version."""

    title: str
    file: str
    passages: tuple[Passage, ...]


def documents(version: Version) -> list[Document]:
    """What was new in a version."""
    asked = questions(version)
    edits: dict[str, list[Edit]] = {}
    for rollout in version.rollouts:
        edits.setdefault(rollout.edit.task_id, []).append(Edit(rollout, parse_pairs(rollout.edit.text)))
    by_document: dict[DocumentRef | None, list[Passage]] = {document: [] for document in version.documents}
    by_hash = {document.sha256[:12]: document for document in version.documents}
    for task in version.tasks:
        document = by_hash.get(task.id.partition(".")[0])
        by_document.setdefault(document, []).append(_passage(task, edits.get(task.id, []), asked[task.id]))
    return [_document(document, passages) for document, passages in by_document.items()]


def questions(version: Version) -> dict[str, tuple[Asked, ...]]:
    """All questions that a version was asked, by the id of their passage."""
    return {
        task.id: tuple(
            Asked(probe.question, probe.answers[0], old.text, new.text, old.verdict.correct, new.verdict.correct)
            for probe, old, new in zip(task.probes, before.answers, after.answers, strict=False)
        )
        for task, before, after in zip(version.tasks, version.before, version.after, strict=False)
    } | {task.id: () for task in version.tasks[len(version.before) :]}


def file_name(path: str) -> str:
    """The last part of a document's path: where it lies is not everybody's business."""
    return PurePath(path).name


def _document(document: DocumentRef | None, passages: Sequence[Passage]) -> Document:
    if document is None:
        return Document("Other passages", "", tuple(passages))
    return Document(document.title, file_name(document.path), tuple(passages))


def _passage(task: Task, edits: Sequence[Edit], asked: tuple[Asked, ...]) -> Passage:
    answers = [pair.text for edit in edits if edit.rollout.kept for pair in edit.pairs]
    told = tuple((part, any(answer_in_passage(each, part) for each in answers)) for part in sentences(task.passage))
    return Passage(task.title, told, tuple(edits), asked)
