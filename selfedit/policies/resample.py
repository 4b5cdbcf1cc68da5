"""The policy that tries again: what cannot be used, or was said before, is sampled anew (paper, section 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from selfedit.policies.base import OnEdit, Policy
from selfedit.types import Model, SelfEdit, Task


class ResamplingPolicy(Policy):
    """Asks another policy until each task has its edits, all accepted and different, or `attempts` samples an edit.

    The samples that were drawn are counted in the edits. Where attempts ran out, the last sample is the edit: that
    it cannot be used is recorded like any other failure.

    Args:
        repeats: take an edit that was written before, too, as the official code does (few-shot/README.md).
    """

    def __init__(
        self, policy: Policy, accepted: Callable[[Task, SelfEdit], bool], attempts: int, repeats: bool = False
    ) -> None:
        self._policy, self._accepted, self._attempts, self._repeats = policy, accepted, attempts, repeats

    def propose(
        self, tasks: Sequence[Task], edits: int, seed: int, model: Model, on_edit: OnEdit | None = None
    ) -> list[SelfEdit]:
        edits_of: dict[str, dict[int, SelfEdit]] = {task.id: {} for task in tasks}
        open_tasks = list(tasks)
        for attempt in range(1, self._attempts + 1):
            samples = self._policy.propose(open_tasks, edits, seed + 1_000_003 * (attempt - 1), model)
            is_last = attempt == self._attempts
            for task in open_tasks:
                fresh = iter([edit for edit in samples if edit.task_id == task.id])
                taken = edits_of[task.id]
                texts = {edit.text for edit in taken.values()}
                for place in [place for place in range(edits) if place not in taken]:
                    edit = next(fresh, None)
                    if edit is None:
                        break
                    is_new = self._repeats or edit.text not in texts
                    if is_last or (is_new and self._accepted(task, edit)):
                        texts.add(edit.text)
                        taken[place] = replace(edit, id=f"{task.id}.e{place}", attempts=attempt)
                        if on_edit is not None:
                            on_edit(taken[place])
            open_tasks = [task for task in open_tasks if len(edits_of[task.id]) < edits]
            if not open_tasks:
                break
        return [edits_of[task.id][place] for task in tasks for place in sorted(edits_of[task.id])]
