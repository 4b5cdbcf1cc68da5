"""The share of the rewards' variance that lies between edits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from selfedit.report.variance import variance_shares


def simulated(
    between: float, within: float, contexts: int = 150, edits: int = 8, seeds: int = 4
) -> list[list[list[float]]]:
    """Rewards with these standard deviations, in contexts that differ far more."""
    random = np.random.default_rng(11)
    context = random.normal(0, 5, (contexts, 1, 1))
    edit = random.normal(0, between, (contexts, edits, 1))
    rewards: list[list[list[float]]] = (context + edit + random.normal(0, within, (contexts, edits, seeds))).tolist()
    return rewards


def test_finds_what_was_put_in() -> None:
    shares = variance_shares(simulated(0.5, 1.0))
    assert shares.between == pytest.approx(0.25, rel=0.15)
    assert shares.within == pytest.approx(1.0, rel=0.1)
    assert shares.icc.mean == pytest.approx(0.2, abs=0.03)
    assert shares.icc.low is not None
    assert shares.icc.high is not None
    assert 0.13 < shares.icc.low < 0.2 < shares.icc.high < 0.27
    assert shares.reliability_of_mean == pytest.approx(0.5, abs=0.05)
    assert shares.reliability(1) == shares.icc.mean
    assert (shares.n_contexts, shares.seeds, shares.tie_share) == (150, 4, 0)


def test_ragged_rewards_give_the_same_answer() -> None:
    ragged = [
        [edit[: 2 + (i + j) % 3] for j, edit in enumerate(context[: 3 + i % 5])]
        for i, context in enumerate(simulated(1.0, 1.0, contexts=400))
    ]
    shares = variance_shares(ragged, resamples=200)
    assert shares.icc.mean == pytest.approx(0.5, abs=0.05)
    assert 2.5 < shares.seeds < 3.5


def test_by_hand() -> None:
    # Means 1 and 3 about 2: between 2 * (1 + 1) / 1 = 4; within (1 + 1 + 1 + 1) / 2 = 2; (4 - 2) / 2 seeds = 1.
    shares = variance_shares([[[0, 2], [2, 4]]])
    assert (shares.between, shares.within) == (1, 2)
    assert shares.icc.mean == pytest.approx(1 / 3)
    assert shares.reliability_of_mean == pytest.approx(1 - 2 / 4)
    assert (shares.icc.low, shares.icc.high) == (None, None)


def test_negative_estimates_are_clipped() -> None:
    shares = variance_shares([[[0, 1], [1, 0]], [[0, 2], [1, 1]]])
    assert (shares.between, shares.icc.mean, shares.reliability_of_mean, shares.tie_share) == (0, 0, 0, 1)


def test_seeds_that_do_not_matter_and_rewards_that_never_vary() -> None:
    assert variance_shares([[[0, 0], [1, 1]]] * 3).icc.mean == 1
    assert variance_shares([[[1, 1], [1, 1]]] * 3).icc.mean == 0


def test_ties_do_not_depend_on_the_order_of_the_seeds() -> None:
    assert variance_shares([[[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.1, 0.1, 0.1]]]).tie_share == pytest.approx(1 / 3)


def test_leaves_out_what_says_nothing() -> None:
    kept = [[0.0, 2.0], [2.0, 4.0]]
    assert variance_shares([kept, [[1, 2]], [[1], [5]], []]) == variance_shares([kept])
    assert variance_shares([[*kept, [99.0]]]) == variance_shares([kept])


@pytest.mark.parametrize("rewards", [[], [[[1, 2]]], [[[1], [2], [3]]]])
def test_nothing_to_split(rewards: list[list[list[float]]]) -> None:
    with pytest.raises(ValueError, match="no context"):
        variance_shares(rewards)


def test_rewards_must_be_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        variance_shares([[[0, math.nan], [2, 4]]])
