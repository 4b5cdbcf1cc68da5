"""An algorithm, a gate and a reward as somebody else would write them, one file each but for this test's brevity."""

from __future__ import annotations

from statistics import fmean

from selfedit.experiments.algorithms.base import Algorithm, AsExamples, PolicyUpdate, Round
from selfedit.gates.base import Gate, GateCase
from selfedit.rewards.base import Reward
from selfedit.types import Example, Group


class Advantage(Algorithm):
    """A policy gradient: every edit weighs as much as its reward is above or below its group's mean."""

    name = "advantage"

    def update(self, round_: Round, as_examples: AsExamples) -> PolicyUpdate:
        examples = []
        for group in round_.groups:
            rewards = [rollout.reward for rollout in group.rollouts if rollout.reward is not None]
            for rollout in group.rollouts:
                if rollout.reward is not None and rollout.reward != fmean(rewards):
                    weight = rollout.reward - fmean(rewards)
                    for plain in as_examples(group.task, rollout.edit):
                        examples.append(Example(plain.tokens, tuple(weight * each for each in plain.weights)))
        return PolicyUpdate(round_.groups, tuple(examples), round_.parent, "" if examples else "all edits tie")


class Never(Gate):
    """Lets nothing through."""

    name = "never"

    def reason(self, case: GateCase) -> str | None:
        return f"{case.what} was compared on {len(case.before)} and {len(case.after)} answers to {case.than}"


class Majority(Reward):
    """How many of the group's adapters agree with an answer: no label is looked at."""

    name = "majority"

    def rewards(self, group: Group) -> list[tuple[float, ...]]:
        texts = [[answer.text for answer in after.answers] for rollout in group.rollouts for after in rollout.afters]
        votes = [[column.count(text) / len(texts) for text in column] for column in map(list, zip(*texts, strict=True))]
        shares = iter(fmean(column[row] for column in votes) for row in range(len(texts)))
        return [tuple(next(shares) for _ in rollout.afters) for rollout in group.rollouts]
