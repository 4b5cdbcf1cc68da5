"""Which edits are kept."""

from __future__ import annotations

from typing import Any

from selfedit.rewards import make_reward
from selfedit.search.selection import Selection, make_groups, rank, select
from selfedit.types import Answer, Evaluation, Probe, SelfEdit, Task, Trial, Verdict

QUESTIONS = 5
TASK = Task("t", "t", "c", tuple(Probe(f"q{i}", "q", ("a",)) for i in range(QUESTIONS)))


def evaluation(right: int, logprob: float) -> Evaluation:
    answers = tuple(
        Answer(probe.id, "a", Verdict(place < right, ""), logprob) for place, probe in enumerate(TASK.probes)
    )
    return Evaluation("t", "match", answers)


def chosen(base: Evaluation, scores: dict[str, list[tuple[int, float]]], **settings: Any) -> list[str]:
    """The ids of the edits that are learnt from; scores are right answers and log-probability by edit and seed."""
    edits = [SelfEdit(name, "t", "implications", "", name, 0) for name in scores]
    trials = [
        Trial(name, "t", seed, after=evaluation(*score))
        for name, seeds in scores.items()
        for seed, score in enumerate(seeds)
    ]
    (group,) = make_groups([TASK], edits, trials, [base])
    kept = select(rank(group, make_reward("accuracy")), Selection(**settings))
    return [rollout.edit.id for rollout in kept.rollouts if rollout.kept]


def test_the_same_accuracy_under_every_seed_is_no_gain_whatever_a_mean_rounds_to() -> None:
    assert sum([0.2] * 3) / 3 != 0.2
    assert chosen(evaluation(1, -1.0), {"same": [(1, -9.0)] * 3}) == []
    assert chosen(evaluation(1, -1.0), {"likelier": [(1, -0.5)] * 3}) == ["likelier"]


def test_equal_means_are_told_apart_by_log_probability() -> None:
    scores = {"spread": [(0, -9.0), (1, -9.0), (2, -9.0)], "likelier": [(0, -1.0), (0, -1.0), (3, -1.0)]}
    assert chosen(evaluation(0, -10.0), scores) == ["likelier"]


def test_only_edits_with_enough_reward_are_learnt_from() -> None:
    scores = {"two": [(2, -1.0)], "five": [(5, -1.0)]}
    assert chosen(evaluation(0, -10.0), scores, top_k=2, min_reward=1.0) == ["five"]
    assert set(chosen(evaluation(0, -10.0), scores, top_k=2)) == {"two", "five"}
    assert chosen(evaluation(5, -0.5), scores, top_k=2) == []
    assert chosen(evaluation(5, -0.5), scores, must_beat_base=False) == ["five"]


def test_an_edit_that_could_not_be_used_has_no_reward_and_is_no_wrong_answer() -> None:
    edits = [SelfEdit(name, "t", "implications", "", name, 0) for name in ("used", "unusable")]
    trials = [Trial("used", "t", 0, after=evaluation(0, -1.0)), Trial("unusable", "t", 0, failure="diverged")]
    (group,) = make_groups([TASK], edits, trials, [evaluation(3, -1.0)])
    used, unusable = rank(group, make_reward("accuracy")).rollouts
    assert (used.reward, used.base_reward, used.failure) == (0.0, 0.6, None)
    assert (unusable.reward, unusable.rewards, unusable.failure) == (None, (), "diverged")
    assert chosen(evaluation(3, -1.0), {"worse": [(0, -9.0)]}, must_beat_base=False) == ["worse"]


def test_a_reward_without_training_needs_no_adapter_and_is_held_against_nothing() -> None:
    edits = [SelfEdit(name, "t", "implications", "", text, 0) for name, text in (("long", "c d e f"), ("empty", ""))]
    (group,) = make_groups([TASK], edits, [], [evaluation(5, -1.0)])
    kept = select(rank(group, make_reward("rubric")), Selection())
    assert [rollout.kept for rollout in kept.rollouts] == [True, False]
    assert all(rollout.base_reward is None and len(rollout.rewards) == 1 for rollout in kept.rollouts)


def test_the_best_is_kept_if_it_beats_the_base() -> None:
    base = evaluation(0, -2.0)
    assert chosen(base, {"right": [(5, -3.0)], "likelier": [(0, -1.0)]}) == ["right"]
    assert chosen(base, {"same": [(0, -2.0)], "closer": [(0, -1.5)]}) == ["closer"]
    assert chosen(base, {"worse": [(0, -9.0)]}) == []
