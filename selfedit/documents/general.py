"""The bundled general set: questions about the world and plain texts, which show whether a model is still itself."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

from selfedit.files.serialize import decode
from selfedit.types import Probe, Task

KINDS = ("facts", "language", "arithmetic", "instructions", "refusing", "near")
"""Of its questions: what the world is like, words, sums, doing as told, declining, and everyday things that documents
are about, asked in general."""


DECLINED = "refusing"
"""The kind that a careful model declines."""

_OF_EACH = 10


def general_tasks() -> tuple[Task, ...]:
    """The questions, a task a kind, without title or context."""
    probes: dict[str, list[Probe]] = {kind: [] for kind in KINDS}
    for row in _rows("questions.jsonl"):
        probes[row["kind"]].append(Probe(row["id"], row["question"], tuple(row["answers"])))
    return tuple(Task(f"general-{kind}", "", "", tuple(probes[kind])) for kind in KINDS)


def general_texts() -> tuple[str, ...]:
    """Plain texts that no document is about."""
    return tuple(row["text"] for row in _rows("texts.jsonl"))


def drift_prompts() -> tuple[Task, ...]:
    """The fixed set of prompts that show whether a model drifts: some of each kind, a task a kind; all of those that a
    careful model declines, with the words of declining as their answers."""
    return tuple(
        replace(task, probes=task.probes if DECLINED in task.id else task.probes[:_OF_EACH]) for task in general_tasks()
    )


def _rows(name: str) -> list[dict[str, str]]:
    data = (files("selfedit") / "data" / "general" / name).read_bytes()
    return [decode(dict, line) for line in data.splitlines() if line.strip()]
