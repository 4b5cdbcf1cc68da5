"""Domains: how tasks of one kind are trained on and asked about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from selfedit.policies.formats import FORMATS, Format
from selfedit.types import Hyperparameters, Lesson, Probe, Recipe, SelfEdit, Task

BETWEEN_GUESSES = "\n\n"
"""Stands between the guesses of one recorded answer. A domain with several has none with an empty line."""


@dataclass(frozen=True)
class Inquiry:
    """How a probe is put to a model.

    Attributes:
        prompts: what asks it, each answered by itself.
        guesses: the answers in what was written to each prompt, the best first; any one may be right.
    """

    prompts: tuple[tuple[int, ...], ...]
    guesses: Callable[[Sequence[str]], tuple[str, ...]]


class Domain(ABC):
    """Turns a self-edit into a recipe, and a probe into a prompt. What is not abstract is as for passages.

    Attributes:
        formats: the ways to write a self-edit, by name. `none` trains on what the domain would do without one.
        default_format: what a configuration gets that names none.
        stop: strings that end an answer.
        kind: of experiments on its tasks: a name in `selfedit.experiments.kinds`, or package.module:Class.
    """

    formats: ClassVar[Mapping[str, Format]] = FORMATS
    default_format: ClassVar[str] = "rewrite"
    stop: tuple[str, ...] = ("\n",)
    kind: ClassVar[str] = "knowledge"

    def clean(self, task: Task, text: str) -> str:
        """The answer in what a model wrote when asked a task's probe."""
        return text.strip()

    def gold(self, task: Task, probe: Probe) -> tuple[int, ...]:
        """The tokens of a probe's gold answer as they would follow its `question`."""
        return self.answer(probe.answers[0])

    def inquiry(self, task: Task, probe: Probe, with_context: bool = False) -> Inquiry:
        """How a probe is put, where a domain asks more than once; else by its `question` alone."""
        return Inquiry((self.question(task, probe, with_context),), lambda texts: (self.clean(task, texts[0]),))

    @abstractmethod
    def lessons(self, task: Task, edit: SelfEdit) -> tuple[Lesson, ...]:
        """What a self-edit teaches; empty if it is unusable, which is data and no error."""

    def is_readable(self, task: Task, edit: SelfEdit) -> bool:
        """Whether the edit is in the form that was asked for, usable or not."""
        return bool(self.lessons(task, edit))

    def is_usable(self, task: Task, edit: SelfEdit, hyperparameters: Hyperparameters, seed: int = 0) -> bool:
        """Whether the edit has a recipe."""
        try:
            self.recipe(task, edit, hyperparameters, seed)
        except ValueError:
            return False
        return True

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
