"""A reward that is a function of the user's own: `package.module:function`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from selfedit.errors import UserError
from selfedit.imports import import_named
from selfedit.rewards.base import Reward, TrialReward
from selfedit.types import Answer, Evaluation, Task

RewardFunction = Callable[[Task, Sequence[Answer]], float]


class FunctionReward(TrialReward):
    """Calls `function(task, answers)` with the answers after the update.

    Raises:
        UserError: the function raises, or does not give a finite number. What was trained is kept.
    """

    def __init__(self, name: str, function: RewardFunction) -> None:
        self.name, self._function = name, function

    def value(self, task: Task, before: Evaluation, after: Evaluation) -> float:
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


def own_reward(name: str) -> Reward:
    """What a user's `package.module:function` names: a function, or a subclass of `Reward` that sees whole groups.

    Raises:
        UserError: it cannot be imported, or is neither.
    """
    named: Any = import_named(name, f"the reward '{name}'", "package.module:function")
    if isinstance(named, type) and issubclass(named, Reward):
        reward = named()
        reward.name = name
        return reward
    if not callable(named):
        raise UserError(f"The reward '{name}' is not a function (task, answers) -> float.")
    return FunctionReward(name, named)
