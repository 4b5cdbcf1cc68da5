"""Domains: how tasks of one kind are trained on and asked about."""

from __future__ import annotations

from abc import ABC, abstractmethod

from selfedit.types import Hyperparameters, Lesson, Probe, Recipe, SelfEdit, Task


class Domain(ABC):
    """Turns a self-edit into a recipe, and a probe into a prompt."""

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
