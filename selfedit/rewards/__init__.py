"""Rewards by name. A new reward is one file and one line here; a user's own is `package.module:function`."""

from __future__ import annotations

from selfedit.errors import UserError, nearest
from selfedit.models.wording import Wording
from selfedit.rewards.accuracy import AccuracyReward
from selfedit.rewards.base import Reward
from selfedit.rewards.function import own_reward
from selfedit.rewards.gain import GainReward
from selfedit.rewards.guarded import PREFIX, GuardedReward
from selfedit.rewards.judged_rubric import JudgedRubricReward
from selfedit.rewards.logprob import LogprobReward
from selfedit.rewards.retaining import RetainingReward
from selfedit.rewards.rubric import RubricReward

REWARDS: dict[str, type[Reward]] = {
    reward.name: reward
    for reward in (AccuracyReward, GainReward, JudgedRubricReward, LogprobReward, RetainingReward, RubricReward)
}

__all__ = ["REWARDS", "Reward", "make_reward"]


def make_reward(name: str, wording: Wording | None = None) -> Reward:
    """The reward of that name; a judge asks in somebody's own words, if they have some.

    A user's own is a function of a task and its answers, or a subclass of `Reward`.

    Behind `guarded-`, it is for edits that no guard refuses.

    Raises:
        UserError: there is none; the nearest is suggested.
    """
    if name.startswith(PREFIX):
        return GuardedReward(make_reward(name.removeprefix(PREFIX)))
    if ":" in name:
        return own_reward(name)
    if name not in REWARDS:
        raise UserError(
            f"Unknown reward '{name}'. {nearest(name, REWARDS)} One of your own is package.module:function."
        )
    if name == JudgedRubricReward.name and wording is not None:
        return JudgedRubricReward(template=wording.scoring)
    return REWARDS[name]()
