"""Which self-edits are worth learning from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from selfedit.rewards import Reward
from selfedit.types import Evaluation, Group, Rollout, SelfEdit, Task, Trial

Ties = Literal["likelihood", "first"]


@dataclass(frozen=True)
class Selection:
    """What is kept of each task's edits.

    Attributes:
        top_k: the best so many.
        must_beat_base: only those with more reward than no update or, with as much, likelier gold answers. Where the
            reward cannot say what no update is worth, nothing is held against it.
        min_reward: and only those with at least this reward.
        ties: which of equally rewarded edits is the better one: that with likelier gold answers, or the one that was
            written first, as in the paper's official code.
    """

    top_k: int = 1
    must_beat_base: bool = True
    min_reward: float | None = None
    ties: Ties = "likelihood"


def make_groups(
    tasks: Sequence[Task], edits: Sequence[SelfEdit], trials: Sequence[Trial], before: Sequence[Evaluation]
) -> list[Group]:
    """The edits of each task with what became of them, not yet rewarded."""
    before_of = {evaluation.task_id: evaluation for evaluation in before}
    trials_of: dict[str, list[Trial]] = {edit.id: [] for edit in edits}
    for trial in trials:
        trials_of.setdefault(trial.edit_id, []).append(trial)
    rollouts: dict[str, list[Rollout]] = {task.id: [] for task in tasks}
    for edit in edits:
        if edit.task_id in rollouts:
            rollouts[edit.task_id].append(Rollout(edit, tuple(trials_of[edit.id])))
    return [Group(task, before_of[task.id], tuple(rollouts[task.id])) for task in tasks]


def rank(group: Group, reward: Reward) -> Group:
    """The group with its rewards. An edit that could not be used has none, and never counts as a wrong answer."""
    no_update = reward.no_update(group)
    rewarded = (
        replace(rollout, rewards=() if rollout.failure else rewards, base_reward=no_update)
        for rollout, rewards in zip(group.rollouts, reward.rewards(group), strict=True)
    )
    return replace(group, rollouts=tuple(rewarded))


def select(group: Group, selection: Selection) -> Group:
    """The ranked group with the best rollouts marked as kept.

    By default ties are broken by the gold answers' log-probability: with five questions most edits tie, and the first
    of them is chosen by chance.
    """
    eligible = [rollout for rollout in group.rollouts if _is_eligible(rollout, group.before, selection)]
    eligible.sort(key=lambda rollout: _worth(rollout, selection.ties), reverse=True)
    kept = {rollout.edit.id for rollout in eligible[: selection.top_k]}
    return replace(group, rollouts=tuple(replace(r, kept=r.edit.id in kept) for r in group.rollouts))


def finalists(group: Group, proxy: Reward, count: int) -> list[SelfEdit]:
    """The cascade's first step: the `count` edits that a reward without training likes best, in their order."""
    ranked = rank(group, proxy).rollouts
    best = sorted(ranked, key=lambda rollout: -(rollout.reward or 0.0))[:count]
    return sorted((rollout.edit for rollout in best), key=lambda edit: edit.id)


def _worth(rollout: Rollout, ties: Ties) -> tuple[float, float]:
    reward = rollout.reward if rollout.reward is not None else float("-inf")
    return reward, rollout.gold_logprob if ties == "likelihood" else 0.0


def _is_eligible(rollout: Rollout, before: Evaluation, selection: Selection) -> bool:
    if rollout.reward is None:
        return False
    if selection.min_reward is not None and rollout.reward < selection.min_reward:
        return False
    if not selection.must_beat_base or rollout.base_reward is None:
        return True
    without = (round(rollout.base_reward, 12), before.gold_logprob if selection.ties == "likelihood" else 0.0)
    return _worth(rollout, selection.ties) > without
