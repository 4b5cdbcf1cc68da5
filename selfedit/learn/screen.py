"""Documents before they are learnt: what a guard flags waits for a person, and the rest goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from selfedit.domains.knowledge import KnowledgeDomain
from selfedit.generate.base import Generator, Request
from selfedit.guard import Known, Text, make_guard, screen
from selfedit.learn.config import LearnConfig
from selfedit.learn.prepare import Material
from selfedit.memory.recall import Recall
from selfedit.progress import Progress
from selfedit.routing import Query
from selfedit.types import Flag, Model, Task

_TOKENS = 24
"""Of an answer that guards compare."""


@dataclass(frozen=True)
class ModelReader:
    """Answers for guards.

    Attributes:
        recall: the version that is gone on from.
        writer: reads with a passage in context.
    """

    generator: Generator
    domain: KnowledgeDomain
    recall: Recall
    writer: Model

    def ask(self, questions: Sequence[str]) -> list[str]:
        """What the version answers."""
        recalled = self.recall.recall([Query(question) for question in questions])
        return self._answers(
            [(self.domain.ask(q, who.topic), who.model) for q, who in zip(questions, recalled, strict=True)]
        )

    def read(self, questions: Sequence[tuple[str, str, str]]) -> list[str]:
        """What stands in a passage, by its writer."""
        return self._answers([(self.domain.ask(*question), self.writer) for question in questions])

    def _answers(self, prompts: Sequence[tuple[tuple[int, ...], Model]]) -> list[str]:
        requests = [Request(prompt, model, _TOKENS, stop=("\n",)) for prompt, model in prompts]
        return [completion.text.strip().rstrip(".") for completion in self.generator.generate(requests)]


@dataclass(frozen=True)
class Screened:
    """What guards said of documents.

    Attributes:
        material: what may be learnt.
        held: the flags of the documents that wait.
        passed: flags of a kind that a person lets through; what is learnt of those documents bears them.
    """

    material: Material
    held: tuple[Flag, ...]
    passed: tuple[Flag, ...]


def screened(material: Material, config: LearnConfig, known: Known, progress: Progress) -> Screened:
    """The documents that no guard stops, and what was said of them and of the others."""
    guards = [make_guard(name) for name in config.guards]
    texts = texts_of(material)
    for guard in guards if texts else ():
        if note := guard.note():
            progress.note(note)
    flags = screen(guards, texts, known)
    held = tuple(flag for flag in flags if flag.kind not in config.allow_flagged)
    waiting = {flag.where for flag in held}
    passed = tuple(flag for flag in flags if flag not in held and flag.where not in waiting)
    return Screened(without(material, waiting), held, passed)


def texts_of(material: Material) -> list[Text]:
    """The documents as guards see them: with all that is learnt of them."""
    passages: dict[str, list[Task]] = {}
    for task in material.tasks:
        passages.setdefault(task.id.rpartition(".")[0], []).append(task)
    texts = []
    for document in dict.fromkeys(material.documents):
        tasks = passages.get(document.sha256[:12], [])
        headings = dict.fromkeys(task.title.removeprefix(f"{document.title} - ") for task in tasks)
        bodies = tuple(task.passage for task in tasks)
        texts.append(Text(document.sha256, document.title, document.path, bodies, tuple(headings)))
    return texts


def without(material: Material, hashes: set[str]) -> Material:
    """The material without the documents that have these hashes."""
    left = tuple(document for document in material.documents if document.sha256 not in hashes)
    ids = {document.sha256[:12] for document in left}
    tasks = tuple(task for task in material.tasks if task.id.rpartition(".")[0] in ids)
    return replace(material, documents=left, tasks=tasks)
