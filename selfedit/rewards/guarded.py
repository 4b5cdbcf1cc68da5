"""Another reward, for edits that no guard stops: one that is stopped has none."""

from __future__ import annotations

from collections.abc import Sequence

from selfedit.guard import GUARDS, Guard, Known, Text, screen
from selfedit.rewards.base import Reward
from selfedit.types import Evaluation, Flag, Group, SelfEdit, Task

PREFIX = "guarded-"


class GuardedReward(Reward):
    """What `reward` gives, and nothing for an edit that a guard refuses; such an edit is not even trained on.

    Args:
        guards: those of them that read edits count. None: all that need nothing but the package.
        allowed: kinds of flags that a person lets through.
    """

    def __init__(self, reward: Reward, guards: Sequence[Guard] | None = None, allowed: Sequence[str] = ()) -> None:
        if guards is None:
            guards = [kind() for name, kind in GUARDS.items() if kind.reads_edits and name != "model"]
        self._reward = reward
        self._guards = [guard for guard in guards if guard.reads_edits and guard.name not in allowed]
        self._flags: dict[str, tuple[Flag, ...]] = {}
        self.name = f"{PREFIX}{reward.name}"
        self.needs_training, self.needs_passage = reward.needs_training, reward.needs_passage
        self.needs_general = reward.needs_general

    def flags(self, task: Task, edit: SelfEdit) -> tuple[Flag, ...]:
        """Why an edit is refused; none if it is not. Each text is screened once."""
        if edit.text not in self._flags:
            text = Text(edit.id, task.title, "", (edit.text,))
            self._flags[edit.text] = tuple(screen(self._guards, [text], Known())) if edit.text else ()
        return self._flags[edit.text]

    def refusal(self, task: Task, edit: SelfEdit) -> str:
        kinds = dict.fromkeys(flag.kind for flag in self.flags(task, edit))
        return f"refused by the guard ({', '.join(kinds)})" if kinds else ""

    def rewards(self, group: Group) -> list[tuple[float, ...]]:
        return [
            () if self.refusal(group.task, rollout.edit) else rewards
            for rollout, rewards in zip(group.rollouts, self._reward.rewards(group), strict=True)
        ]

    def no_update(self, group: Group) -> float | None:
        return self._reward.no_update(group)

    def overall(self, tasks: Sequence[Task], before: Sequence[Evaluation], after: Sequence[Evaluation]) -> float | None:
        return self._reward.overall(tasks, before, after)
