"""A reward that is a function of the user's own: `package.module:function`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from selfedit.errors import UserError
from selfedit.imports import import_named
from selfedit.rewards.base import Reward
from selfedit.types import Answer, Evaluation, SelfEdit, Task

RewardFunction = Callable[[Task, Sequence[Answer]], float]


class FunctionReward(Reward):
    """Calls `function(task, answers)` with the answers after the update."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._function = _import(name)

    def value(self, task: Task, edit: SelfEdit, before: Evaluation, after: Evaluation) -> float:
        """See `Reward.value`."""
        return float(self._function(task, after.answers))


def _import(name: str) -> RewardFunction:
    function: RewardFunction = import_named(name, f"the reward '{name}'", "package.module:function")
    if not callable(function):
        raise UserError(f"The reward '{name}' is not a function (task, answers) -> float.")
    return function
