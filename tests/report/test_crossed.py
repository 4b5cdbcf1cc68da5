"""A shock that all passages share is in the interval where there are several seeds, and is not where there is one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from selfedit.report.crossed import crossed_difference, crossed_mean
from selfedit.report.statistics import Floats, Groups, paired_difference

PASSAGES, QUESTIONS, REPEATS = 60, 5, 1000
SHOCK = 0.05


def drawn(random: np.random.Generator, seeds: int, shock: float) -> tuple[Groups, list[Groups]]:
    """No update, and an update that is worth nothing but for what its seed does to all passages alike.

    Answers are right or wrong; passages are easy or hard, and an update helps some and harms others.
    """
    easy_P = random.uniform(0.2, 0.6, PASSAGES)
    counts_P = random.integers(1, 2 * QUESTIONS, PASSAGES)
    base = answered(random, easy_P, counts_P)
    own_P = random.normal(0, 0.05, PASSAGES)
    return base, [answered(random, easy_P + own_P + random.normal(0, shock), counts_P) for _ in range(seeds)]


def answered(random: np.random.Generator, rate_P: Floats, counts_P: npt.NDArray[np.int64]) -> Groups:
    """Each passage's answers: so many, right at so high a rate."""
    right = (random.random(counts_P.sum()) < np.repeat(rate_P, counts_P)).astype(float).tolist()
    ends = np.cumsum(counts_P).tolist()
    return [right[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("shock", [0.0, SHOCK])
def test_intervals_over_seeds_cover_a_shared_shock(seeds: int, shock: float) -> None:
    random = np.random.default_rng(seeds)
    held = 0
    for _ in range(REPEATS):
        base, updated = drawn(random, seeds, shock)
        estimate = crossed_difference(updated, [base])
        assert estimate.low is not None and estimate.high is not None
        held += estimate.low <= 0 <= estimate.high
    assert 0.93 <= held / REPEATS <= (0.97 if shock else 0.99)


def test_resampling_passages_alone_does_not() -> None:
    random = np.random.default_rng(0)
    held = 0
    for number in range(200):
        base, updated = drawn(random, 1, SHOCK)
        estimate = paired_difference(updated[0], base, seed=number, resamples=1000)
        assert estimate.low is not None and estimate.high is not None
        held += estimate.low <= 0 <= estimate.high
    assert held / 200 < 0.85


def test_the_mean_is_over_questions_and_seeds() -> None:
    a: list[Groups] = [[[1.0, 0.0], [1.0]], [[0.0, 0.0], [1.0]]]
    assert crossed_mean(a).mean == pytest.approx(3 / 6)
    assert crossed_difference(a, [[[0.0, 0.0], [1.0]]]).mean == pytest.approx(1 / 6)


@pytest.mark.parametrize("by_seed", [[[[1.0], [0.0]]], [[[1.0]], [[0.0]]], [[[1.0], [0.0]], [[1.0], [0.0, 1.0]]]])
def test_too_little_is_refused(by_seed: list[Groups]) -> None:
    with pytest.raises(ValueError, match="seeds"):
        crossed_mean(by_seed)
