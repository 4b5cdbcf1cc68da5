"""Which edits a round learns from."""

from __future__ import annotations

from selfedit.experiments.algorithms.rest_em import rank
from selfedit.experiments.config import OuterSettings
from selfedit.experiments.trials import Trial
from selfedit.rewards import make_reward
from selfedit.types import Answer, Evaluation, Probe, SelfEdit, Task, Verdict

QUESTIONS = 5
TASK = Task("t", "t", "c", tuple(Probe(f"q{i}", "q", ("a",)) for i in range(QUESTIONS)))


def evaluation(right: int, logprob: float) -> Evaluation:
    answers = tuple(
        Answer(probe.id, "a", Verdict(place < right, ""), logprob) for place, probe in enumerate(TASK.probes)
    )
    return Evaluation("t", "match", answers)


def chosen(base: Evaluation, scores: dict[str, list[tuple[int, float]]], **settings: object) -> list[str]:
    """The ids of the edits that are learnt from; scores are right answers and log-probability by edit and seed."""
    edits = [SelfEdit(name, "t", "implications", "", name, 0) for name in scores]
    trials = [
        Trial(name, "t", seed, after=evaluation(*score))
        for name, seeds in scores.items()
        for seed, score in enumerate(seeds)
    ]
    outer = OuterSettings(reward="accuracy", edits=len(edits), **settings)  # type: ignore[arg-type]
    return [
        entry.edit.id for entry in rank([TASK], edits, trials, [base], make_reward("accuracy"), outer) if entry.chosen
    ]


def test_the_same_accuracy_under_every_seed_is_no_gain_whatever_a_mean_rounds_to() -> None:
    assert sum([0.2] * 3) / 3 != 0.2
    assert chosen(evaluation(1, -1.0), {"same": [(1, -9.0)] * 3}) == []
    assert chosen(evaluation(1, -1.0), {"likelier": [(1, -0.5)] * 3}) == ["likelier"]


def test_equal_means_are_told_apart_by_log_probability() -> None:
    scores = {"spread": [(0, -9.0), (1, -9.0), (2, -9.0)], "likelier": [(0, -1.0), (0, -1.0), (3, -1.0)]}
    assert chosen(evaluation(0, -10.0), scores) == ["likelier"]


def test_only_edits_with_enough_reward_are_learnt_from() -> None:
    scores = {"two": [(2, -1.0)], "five": [(5, -1.0)]}
    assert chosen(evaluation(0, -10.0), scores, top_k=2, least_reward=1.0) == ["five"]
    assert set(chosen(evaluation(0, -10.0), scores, top_k=2)) == {"two", "five"}
    assert chosen(evaluation(5, -0.5), scores, top_k=2) == []
    assert chosen(evaluation(5, -0.5), scores, must_beat_base=False) == ["five"]
