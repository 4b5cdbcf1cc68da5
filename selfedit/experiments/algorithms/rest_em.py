"""ReST-EM (2312.06585): keep the best of what the policy wrote, and finetune it on that (paper, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from selfedit.experiments.config import OuterSettings
from selfedit.experiments.trials import Trial
from selfedit.rewards import Reward
from selfedit.types import Evaluation, SelfEdit, Task


@dataclass(frozen=True)
class Ranked:
    """An edit's reward, the mean over its training seeds; None where no adapter came of it."""

    edit: SelfEdit
    reward: float | None
    base_reward: float
    rewards: tuple[float, ...] = ()
    chosen: bool = False


def rank(
    tasks: Sequence[Task],
    edits: Sequence[SelfEdit],
    trials: Sequence[Trial],
    before: Sequence[Evaluation],
    reward: Reward,
    settings: OuterSettings,
) -> list[Ranked]:
    """Every edit with its reward, the best `top_k` of each task chosen.

    Ties are broken by the gold answers' log-probability: with five questions most edits tie, and the first of them
    would be chosen by chance. An edit without an adapter is never chosen, and never counts as a wrong answer.
    """
    bases = {evaluation.task_id: evaluation for evaluation in before}
    trials_of: dict[str, list[Trial]] = {edit.id: [] for edit in edits}
    for trial in trials:
        trials_of[trial.edit_id].append(trial)
    ranked = []
    for task in tasks:
        base = bases[task.id]
        own = [edit for edit in edits if edit.task_id == task.id]
        scores: dict[str, tuple[float, float]] = {}
        found = []
        for edit in own:
            afters = [trial.after for trial in trials_of[edit.id] if trial.after is not None]
            rewards = tuple(reward.value(task, edit, base, after) for after in afters)
            no_update = _settled(reward.value(task, edit, base, base))
            if rewards:
                scores[edit.id] = (_settled(fmean(rewards)), fmean(after.gold_logprob for after in afters))
            found.append(Ranked(edit, _settled(fmean(rewards)) if rewards else None, no_update, rewards))
        eligible = [
            entry.edit.id
            for entry in found
            if entry.edit.id in scores
            and (settings.least_reward is None or scores[entry.edit.id][0] >= settings.least_reward)
            and not (settings.must_beat_base and scores[entry.edit.id] <= (entry.base_reward, base.gold_logprob))
        ]
        best = set(sorted(eligible, key=lambda name: scores[name], reverse=True)[: settings.top_k])
        ranked += [
            Ranked(entry.edit, entry.reward, entry.base_reward, entry.rewards, entry.edit.id in best) for entry in found
        ]
    return ranked


def _settled(reward: float) -> float:
    """Without the last digits, in which a mean of equal rewards differs from each of them: ties must be ties."""
    return round(reward, 12)


def screened(
    tasks: Sequence[Task], edits: Sequence[SelfEdit], before: Sequence[Evaluation], proxy: Reward, finalists: int
) -> list[SelfEdit]:
    """The cascade's first step: the `finalists` edits of each task that a reward without training likes best."""
    bases = {evaluation.task_id: evaluation for evaluation in before}
    chosen = []
    for task in tasks:
        own = [edit for edit in edits if edit.task_id == task.id]
        base = bases[task.id]
        own.sort(key=lambda edit: -proxy.value(task, edit, base, base))
        chosen += sorted(own[:finalists], key=lambda edit: edit.id)
    return chosen
