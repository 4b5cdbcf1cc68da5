"""Rewards by name. A new reward is one file and one line here."""

from __future__ import annotations

from selfedit.rewards.accuracy import AccuracyReward
from selfedit.rewards.base import Reward

REWARDS: dict[str, type[Reward]] = {reward.name: reward for reward in (AccuracyReward,)}

__all__ = ["REWARDS", "Reward"]
