"""From paths to tasks: everything about the documents that needs no model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from selfedit.documents import Document, Passage, Question, assign, check_titles, read_documents, read_questions, split
from selfedit.learn.config import LearnConfig
from selfedit.release_0_1 import later_settings
from selfedit.types import DocumentRef, Probe, ProbeSource, Task

_LATER_WORK = ("memory", "router", "replay", "gates", "margins", "drift", "keep", "again", "policy")
_GUARDING = ("guards", "allow_flagged", "languages")  # What they stop is not there when the key is made.


@dataclass(frozen=True)
class Sources:
    """Documents and questions as they were read, before a tokenizer is there to split them with.

    `questions` is empty if there is no question file.
    """

    documents: tuple[Document, ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Material:
    """What there is to learn.

    Attributes:
        probe_source: None while there are no probes yet, and the model has to write them.
        cut_paragraphs: paragraphs longer than a passage may be, which were cut inside.
    """

    documents: tuple[DocumentRef, ...]
    tasks: tuple[Task, ...]
    probe_source: ProbeSource | None
    cut_paragraphs: int


def read_sources(given: Sequence[Path | Document], config: LearnConfig) -> Sources:
    """Read documents, unless they are read already, and questions.

    Raises:
        UserError: a file is missing, unreadable or malformed, or a question belongs to none of the documents.
    """
    questions = read_questions(config.questions) if config.questions is not None else []
    paths = [each for each in given if isinstance(each, Path)]
    documents = [each for each in given if isinstance(each, Document)]
    documents += read_documents(paths) if paths else []
    check_titles(questions, documents)
    return Sources(tuple(documents), tuple(questions))


def with_paths(material: Material, store: Path) -> Material:
    """The material with its documents' paths as the store knows them, however they were typed.

    Relative to the folder that the store is in, where they lie below it, so that both can be moved together; else
    absolute.
    """
    documents = tuple(replace(document, path=known_as(document.path, store)) for document in material.documents)
    return replace(material, documents=documents)


def known_as(path: str | Path, store: Path) -> str:
    """The name by which a store knows a path."""
    home = store.expanduser().resolve().parent
    absolute = Path(path).expanduser().resolve()
    return absolute.relative_to(home).as_posix() if absolute.is_relative_to(home) else str(absolute)


def without_known(material: Material, known: Sequence[DocumentRef]) -> tuple[Material, tuple[DocumentRef, ...]]:
    """The material without the documents that are known as they are, and those documents."""
    hashes = {document.sha256 for document in known}
    same = tuple(document for document in material.documents if document.sha256 in hashes)
    left = tuple(document for document in material.documents if document.sha256 not in hashes)
    ids = {document.sha256[:12] for document in left}
    tasks = tuple(task for task in material.tasks if task.id.partition(".")[0] in ids)
    return replace(material, documents=left, tasks=tasks), same


def read_keep(path: Path | None) -> tuple[Task, ...]:
    """The user's questions that are to stay right, those about one title together; none without a file.

    Raises:
        UserError: the file is missing, unreadable or malformed.
    """
    by_title: dict[str, list[Question]] = {}
    for question in read_questions(path) if path is not None else ():
        by_title.setdefault(question.title, []).append(question)
    return tuple(
        Task(
            f"keep{number}",
            title,
            "",
            tuple(Probe(f"keep{number}.q{i}", q.question, q.answers) for i, q in enumerate(questions)),
        )
        for number, (title, questions) in enumerate(by_title.items())
    )


def split_sources(sources: Sources, passage_tokens: int, count_tokens: Callable[[str], int]) -> Material:
    """Split documents into passages and give each its questions.

    Raises:
        UserError: a question belongs to none of the passages.
    """
    passages: list[Passage] = []
    hashes: list[str] = []
    cut = 0
    for document in sources.documents:
        pieces = split(document, count_tokens, passage_tokens)
        passages += pieces.passages
        hashes += [document.sha256] * len(pieces.passages)
        cut += pieces.cut_paragraphs
    source: ProbeSource | None = None
    if sources.questions:
        source = "file"
        passages = assign(sources.questions, passages)
    elif any(passage.probes for passage in passages):
        source = "documents"
    references = tuple(DocumentRef(document.path, document.title, document.sha256) for document in sources.documents)
    return Material(references, _tasks(passages, hashes), source, cut)


def _tasks(passages: Sequence[Passage], hashes: Sequence[str]) -> tuple[Task, ...]:
    tasks = []
    seen: dict[str, int] = {}
    for passage, document_hash in zip(passages, hashes, strict=True):
        number = seen.get(document_hash, 0)
        seen[document_hash] = number + 1
        task_id = f"{document_hash[:12]}.p{number}"
        probes = tuple(
            Probe(f"{task_id}.q{index}", question.question, question.answers)
            for index, question in enumerate(passage.probes)
        )
        tasks.append(Task(task_id, passage.title, passage.text, probes))
    return tuple(tasks)


def work_key(material: Material, config: LearnConfig, fingerprint: str, grader: str, policy: str = "") -> str:
    """A hash of all that decides the outcome: the same key is the same work, which may be taken up again.

    Args:
        policy: the hash of its weights; empty where there is none.
    """
    digest = hashlib.sha256((fingerprint + policy).encode())
    # `slots` and `token_budget` say how fast, not what; paths may change while contents stay; and what the memory makes
    # of it is recorded under keys of its own.
    ignored = dict.fromkeys((*_LATER_WORK, *_GUARDING, "slots", "token_budget", "questions", "edits_from"), True)
    digest.update(config.model_dump_json(exclude=later_settings(config) | ignored).encode())
    digest.update(repr(material.tasks).encode())
    digest.update(grader.encode())
    if config.edits_from is not None:
        digest.update(config.edits_from.read_bytes())
    return digest.hexdigest()[:32]
