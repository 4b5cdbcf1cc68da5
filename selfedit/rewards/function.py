"""A reward that is a function of the user's own: `package.module:function`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from selfedit.errors import UserError
from selfedit.imports import import_named
from selfedit.rewards.base import Reward
from selfedit.types import Answer, Evaluation, SelfEdit, Task

RewardFunction = Callable[[Task, Sequence[Answer]], float]


class FunctionReward(Reward):
    """Calls `function(task, answers)` with the answers after the update.

    Raises:
        UserError: the function raises, or does not give a finite number. What was trained is kept.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._function = _import(name)

    def value(self, task: Task, edit: SelfEdit, before: Evaluation, after: Evaluation) -> float:
        """See `Reward.value`."""
        try:
            value = float(self._function(task, after.answers))
        except Exception as error:  # Whatever goes wrong in a user's code.
            what = f"{type(error).__name__}: {error}"
        else:
            if math.isfinite(value):
                return value
            what = f"it is {value}"
        raise UserError(
            f"The reward '{self.name}' gives no number for the task {task.id} ({what}). Mend it: the same command "
            "goes on."
        )


def _import(name: str) -> RewardFunction:
    function: RewardFunction = import_named(name, f"the reward '{name}'", "package.module:function")
    if not callable(function):
        raise UserError(f"The reward '{name}' is not a function (task, answers) -> float.")
    return function
