"""Policies: who writes self-edits."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from selfedit.types import SelfEdit, Task

OnEdit = Callable[[SelfEdit], None]
"""Called with each self-edit as soon as it is written."""


class Policy(ABC):
    """Writes self-edits. It sees a task's title and context, never its probes."""

    @abstractmethod
    def propose(self, tasks: Sequence[Task], edits: int, seed: int, on_edit: OnEdit | None = None) -> list[SelfEdit]:
        """`edits` self-edits for each task; fewer where the policy has no more to offer.

        A self-edit depends on its task, its number and the seed alone, not on the other tasks.
        """


def edit_seed(seed: int, task_id: str, number: int) -> int:
    """The seed of one self-edit, the same whatever else is written."""
    digest = hashlib.sha256(f"{seed}/{task_id}/{number}".encode()).digest()
    return int.from_bytes(digest[:6], "big")
