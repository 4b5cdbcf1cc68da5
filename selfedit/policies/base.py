"""Policies: who writes self-edits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from selfedit.types import Example, Model, SelfEdit, Task

OnEdit = Callable[[SelfEdit], None]
"""Called with each self-edit as soon as it is written."""


class Policy(ABC):
    """Writes self-edits. It sees a task's title and context, never its probes."""

    @abstractmethod
    def propose(
        self, tasks: Sequence[Task], edits: int, seed: int, model: Model, on_edit: OnEdit | None = None
    ) -> list[SelfEdit]:
        """`edits` self-edits for each task; fewer where the policy has no more to offer.

        A self-edit depends on its task, its number, the seed and the model alone, not on the other tasks.

        Args:
            model: what writes, where a language model does.
        """


class Student(Policy):
    """A policy that is a language model: it learns from self-edits, whoever wrote them."""

    @abstractmethod
    def examples(self, task: Task, edit: SelfEdit) -> tuple[Example, ...]:
        """An edit as it is to be learnt: weight 0 on what the model is asked, 1 on what it is to write."""

    @abstractmethod
    def prompt(self, task: Task) -> tuple[int, ...]:
        """The longest request for an edit about a task; empty where nothing is written."""
