"""The bundled general set: questions about the world and plain texts, which show whether a model is still itself."""

from __future__ import annotations

from importlib.resources import files

from selfedit.files.serialize import decode
from selfedit.types import Probe, Task

KINDS = ("facts", "language", "arithmetic", "instructions", "refusing", "near")
"""Of its questions: what the world is like, words, sums, doing as told, declining, and everyday things that documents
are about, asked in general."""


def general_tasks() -> tuple[Task, ...]:
    """The questions, a task a kind, without title or context."""
    probes: dict[str, list[Probe]] = {kind: [] for kind in KINDS}
    for row in _rows("questions.jsonl"):
        probes[row["kind"]].append(Probe(row["id"], row["question"], tuple(row["answers"])))
    return tuple(Task(f"general-{kind}", "", "", tuple(probes[kind])) for kind in KINDS)


def general_texts() -> tuple[str, ...]:
    """Plain texts that no document is about."""
    return tuple(row["text"] for row in _rows("texts.jsonl"))


def _rows(name: str) -> list[dict[str, str]]:
    data = (files("selfedit") / "data" / "general" / name).read_bytes()
    return [decode(dict, line) for line in data.splitlines() if line.strip()]
