"""Policies: who writes self-edits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from selfedit.types import Model, SelfEdit, Task

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
