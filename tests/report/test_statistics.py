"""Means, differences and their intervals, against closed forms and against what simulated data hold."""

from __future__ import annotations

import math
from itertools import combinations
from statistics import fmean, stdev

import numpy as np
import pytest

from selfedit.report.statistics import Estimate, bootstrap_mean, paired_difference, pass_at_k, student_quantile


def clustered(random: np.random.Generator, groups: int, spread: float) -> list[list[float]]:
    """Values with true mean 0: groups of 2 to 8, each with a mean of its own."""
    centres = random.normal(0, spread, groups)
    return [random.normal(centre, 1.0, random.integers(2, 9)).tolist() for centre in centres]


def width(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def covers(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= truth <= estimate.high


def test_every_value_weighs_the_same() -> None:
    assert bootstrap_mean([[1, 1, 1], [0], []], seed=0, resamples=100).mean == 0.75


def test_interval_of_single_values_is_that_of_student() -> None:
    values = np.random.default_rng(5).normal(3, 2, 30).tolist()
    estimate = bootstrap_mean([[value] for value in values], seed=1)
    half = student_quantile(0.975, 29) * stdev(values) / math.sqrt(30)
    assert estimate.low == pytest.approx(fmean(values) - half, abs=0.12 * half)
    assert estimate.high == pytest.approx(fmean(values) + half, abs=0.12 * half)


@pytest.mark.parametrize("groups", [6, 25])
def test_covers_the_truth_about_as_often_as_it_says(groups: int) -> None:
    random = np.random.default_rng(groups)
    found = [bootstrap_mean(clustered(random, groups, 1.0), seed=i, resamples=600) for i in range(400)]
    # Four standard errors of a share of 400 are 4.4 points.
    assert 0.90 < fmean(covers(estimate, 0.0) for estimate in found) < 0.99


def test_values_resampled_one_by_one_would_cover_too_seldom() -> None:
    random = np.random.default_rng(3)
    found = [
        bootstrap_mean([[v] for group in clustered(random, 20, 2.0) for v in group], seed=i, resamples=300)
        for i in range(150)
    ]
    assert fmean(covers(estimate, 0.0) for estimate in found) < 0.8


def test_pairing_removes_what_makes_a_passage_hard() -> None:
    random = np.random.default_rng(0)
    base = clustered(random, 30, 3.0)
    better = [[value + 0.5 + random.normal(0, 0.3) for value in group] for group in base]
    paired = paired_difference(better, base, seed=0)
    assert paired.verdict == "better"
    assert paired_difference(base, better, seed=0).verdict == "worse"
    assert paired.mean == pytest.approx(0.5, abs=0.1)
    assert width(paired) < 0.2 * width(bootstrap_mean(better, seed=0))


def test_no_difference_is_seldom_called_one() -> None:
    random = np.random.default_rng(8)
    verdicts = []
    for seed in range(200):
        a, b = (random.integers(0, 2, (12, 5)).tolist() for _ in range(2))
        verdicts.append(paired_difference(a, b, seed=seed, resamples=500).verdict)
    assert verdicts.count("not distinguishable") > 180


def test_same_seed_same_interval() -> None:
    values = clustered(np.random.default_rng(2), 9, 1.0)
    assert bootstrap_mean(values, seed=4) == bootstrap_mean(values, seed=4)
    assert bootstrap_mean(values, seed=4) != bootstrap_mean(values, seed=5)


def test_many_groups_are_resampled_in_blocks() -> None:
    values = np.random.default_rng(2).normal(0, 1, (3000, 1)).tolist()
    estimate = bootstrap_mean(values, seed=0, resamples=1000)
    assert width(estimate) == pytest.approx(2 * 1.96 / math.sqrt(3000), rel=0.1)


def test_one_group_has_no_interval() -> None:
    estimate = bootstrap_mean([[0, 1, 1, 1]], seed=0)
    assert (estimate.mean, estimate.low, estimate.high, estimate.n) == (0.75, None, None, 1)
    assert not estimate.distinguishable


@pytest.mark.parametrize(("groups", "verdict"), [(5, "too few passages"), (6, "better")])
def test_too_few_groups_for_a_verdict(groups: int, verdict: str) -> None:
    assert paired_difference([[1]] * groups, [[0]] * groups, seed=0).verdict == verdict


@pytest.mark.parametrize("values", [[], [[]], [[1.0, math.nan]], [[math.inf]]])
def test_no_mean_of_nothing(values: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="values to take the mean of"):
        bootstrap_mean(values, seed=0)


@pytest.mark.parametrize("other", [[[1, 0]], [[1, 0], [1]], [[1, 0], [1, 1], []]])
def test_pairs_need_partners(other: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="paired"):
        paired_difference([[1, 0], [1, 1]], other, seed=0)


@pytest.mark.parametrize(("degrees", "value"), [(1, 12.7062), (2, 4.30265), (5, 2.57058), (30, 2.04227)])
def test_student(degrees: int, value: float) -> None:
    assert student_quantile(0.975, degrees) == pytest.approx(value, rel=1e-4)


def test_pass_at_k_is_the_share_of_subsets_with_a_right_one() -> None:
    right = [1, 1, 0, 0, 0, 0, 0]
    for k in range(1, 8):
        subsets = list(combinations(right, k))
        assert pass_at_k(7, 2, k) == pytest.approx(fmean(any(subset) for subset in subsets))
    assert pass_at_k(5, 0, 3) == 0


@pytest.mark.parametrize("numbers", [(3, 4, 1), (3, 1, 4), (3, 1, 0), (3, -1, 1)])
def test_pass_at_k_of_nonsense(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="pass@k"):
        pass_at_k(*numbers)
