"""Domains: how tasks of one kind are trained on and asked about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from selfedit.documents.passages import read_passages
from selfedit.policies.formats import FORMATS, Format
from selfedit.types import Hyperparameters, Lesson, Probe, Recipe, SelfEdit, Task


class Domain(ABC):
    """Turns a self-edit into a recipe, and a probe into a prompt. What is not abstract is as for passages.

    Attributes:
        formats: the ways to write a self-edit, by name. `none` trains on what the domain would do without one.
        default_format: what a configuration gets that names none.
        default_grader: and how its answers are graded.
        stop: strings that end an answer.
        run_settings: what a run of the outer loop gives it, where the configuration says nothing else.
        only_files: whether `read_tasks` takes nothing but files; else it may be given names.
        joint: whether several tasks may be learnt by one model, in the regimes many and sequential.
        report: `package.module:function` from a run's records to sections of its report that only the domain knows to
            make; empty for none.
        names: what reports call training without a self-edit ('passage') and asking in context ('in-context').
    """

    formats: ClassVar[Mapping[str, Format]] = FORMATS
    default_format: ClassVar[str] = "rewrite"
    default_grader: ClassVar[str] = "learned"
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    run_settings: ClassVar[Mapping[str, Any]] = {}
    only_files: ClassVar[bool] = True
    joint: ClassVar[bool] = True
    report: ClassVar[str] = ""
    names: ClassVar[Mapping[str, str]] = {
        "passage": "trained on the passage alone",
        "in-context": "passage in context",
    }

    @classmethod
    def read_tasks(cls, path: Path, letter: str, questions: int | None = None) -> list[Task]:
        """The tasks of a file, their ids beginning with `letter`; at most so many questions each.

        Raises:
            UserError: the file is malformed; says where.
        """
        return read_passages(path, letter, questions)

    def clean(self, task: Task, text: str) -> str:
        """The answer in what a model wrote when asked a task's probe."""
        return text.strip()

    def gold(self, task: Task, probe: Probe) -> tuple[int, ...]:
        """The tokens of a probe's gold answer as they would follow its `question`."""
        return self.answer(probe.answers[0])

    @abstractmethod
    def lessons(self, task: Task, edit: SelfEdit) -> tuple[Lesson, ...]:
        """What a self-edit teaches; empty if it is unusable, which is data and no error."""

    @abstractmethod
    def is_usable(self, task: Task, edit: SelfEdit) -> bool:
        """Whether the edit has a recipe."""

    @abstractmethod
    def recipe(self, task: Task, edit: SelfEdit, hyperparameters: Hyperparameters, seed: int) -> Recipe:
        """The training run that a self-edit asks for.

        Raises:
            ValueError: the edit is unusable.
        """

    @abstractmethod
    def question(self, task: Task, probe: Probe, with_context: bool = False) -> tuple[int, ...]:
        """The prompt that asks a probe; without the task's context, unless it is to be shown the ceiling."""

    @abstractmethod
    def answer(self, text: str) -> tuple[int, ...]:
        """The tokens of an answer as they would follow a `question`."""
