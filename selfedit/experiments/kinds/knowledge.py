"""Experiments on passages with questions."""

from __future__ import annotations

from pathlib import Path

from selfedit.documents.passages import read_passages
from selfedit.experiments.kinds.base import ExperimentKind
from selfedit.types import Task


class KnowledgeKind(ExperimentKind):
    """Passages to be remembered. A run trains as the paper does: on the passage as one sequence."""

    default_grader = "learned"
    domain_settings = {"sentences": False}  # noqa: RUF012  # A mapping by its base's annotation.
    names = {"passage": "trained on the passage alone", "in-context": "passage in context"}  # noqa: RUF012

    def read_tasks(self, path: Path, letter: str, questions: int | None = None) -> list[Task]:
        return read_passages(path, letter, questions)
