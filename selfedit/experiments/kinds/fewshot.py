"""Experiments on few-shot tasks: ARC puzzles, or rows of text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from selfedit.experiments.kinds.base import ExperimentKind
from selfedit.types import Task

if TYPE_CHECKING:
    from selfedit.experiments.runs.records import RunRecords
    from selfedit.report import Section


class FewshotKind(ExperimentKind):
    """Demonstrations to adapt to. A task's id is its own: 'a85d4709', or the name of its file."""

    default_grader = "exact"
    only_files = False
    has_passages = False
    joint = False  # An edit says how it is trained.
    names = {  # noqa: RUF012
        "base": "in context, no update",
        "passage": "fixed recipe",
        "in-context": "in context",
    }

    def read_tasks(self, path: Path, letter: str, questions: int | None = None) -> list[Task]:
        """Only inputs whose outputs are known can be scored; a task without one is left out."""
        from selfedit.domains.fewshot.read import read_source

        tasks = [
            replace(task, probes=tuple(probe for probe in task.probes if probe.answers)[:questions])
            for task in read_source(str(path))
        ]
        return [task for task in tasks if task.probes]

    def sections(self, run: RunRecords) -> list[Section]:
        from selfedit.experiments.runs.fewshot import sections

        return sections(run)
