"""Tests of paired answers, against published closed forms, exact limits and simulated answers."""

from __future__ import annotations

import math
from itertools import product
from statistics import NormalDist, fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfedit.gates.paired import (
    Change,
    lower_bound,
    non_inferior,
    sign_p_value,
    student_p_value,
    superior,
    upper_bound,
)

Z = NormalDist().inv_cdf(0.95)


@st.composite
def changes(draw: st.DrawFn, largest: int = 300) -> Change:
    n = draw(st.integers(1, largest))
    lost = draw(st.integers(0, n))
    return Change(lost, draw(st.integers(0, n - lost)), n)


def closed_form(change: Change, level: float) -> tuple[float, float]:
    """Tango's limits as roots of the quartic of Yang, Sun and Hardin (2013, Statistics in Medicine 32:1336-1342)."""
    n, net, either = change.n, change.gained - change.lost, change.gained + change.lost
    g = NormalDist().inv_cdf(level) ** 2
    quartic = [
        n**2 * (n / g + 1) ** 2,
        -n * net * (n / g + 1) * (4 * n / g + 1),
        2 * n * net**2 * (3 * n / g + 2) / g - n**2 * (either / g + 1),
        n * net * (2 * either / g + 1) - net**3 * (4 * n / g + 1) / g,
        net**2 * (net**2 / g - either) / g,
    ]
    roots = np.roots(quartic)
    real = roots.real[np.abs(roots.imag) < 1e-6]
    return float(real.min()), float(real.max())


def likeliest_loss(change: Change, difference: float) -> float:
    """The probability of a loss that makes the counts likeliest, given the true difference, by looking at many."""
    q = np.linspace(max(0.0, -difference), (1 - difference) / 2, 200_001)[1:-1]
    same = change.n - change.lost - change.gained
    logs = change.lost * np.log(q) + change.gained * np.log(q + difference)
    return float(q[np.argmax(logs + same * np.log(1 - 2 * q - difference))])


# Tango's own example (44 pairs, one discordant), airway reactivity in 21 children (Fagerland et al. 2014), and the
# example of R's PropCIs::scoreci.mp.
EXAMPLES = [
    (Change(0, 1, 44), -0.0594, 0.1181),
    (Change(1, 7, 21), 0.0260, 0.5172),
    (Change(20, 40, 160), 0.0309, 0.2181),
]


@pytest.mark.parametrize(("change", "low", "high"), EXAMPLES)
def test_known_limits(change: Change, low: float, high: float) -> None:
    found = lower_bound(change, 0.975), upper_bound(change, 0.975)
    assert found == pytest.approx((low, high), abs=1e-4)
    assert found == pytest.approx(closed_form(change, 0.975), abs=1e-9)


@pytest.mark.parametrize("change", [example[0] for example in EXAMPLES] + [Change(12, 3, 120), Change(0, 0, 44)])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.975])
def test_bound_is_where_the_score_is_the_quantile(change: Change, level: float) -> None:
    bound = lower_bound(change, level)
    q = likeliest_loss(change, bound)
    score = (change.gained - change.lost - change.n * bound) / math.sqrt(change.n * (2 * q + bound - bound**2))
    assert score == pytest.approx(NormalDist().inv_cdf(level), abs=1e-3)


@given(changes())
def test_bounds_are_those_of_the_closed_form(change: Change) -> None:
    if change.lost == change.gained == 0 or change.n in (change.lost, change.gained):
        return  # double roots, which no solver finds to nine digits; the extremes below are these
    assert (lower_bound(change), upper_bound(change)) == pytest.approx(closed_form(change, 0.95), abs=1e-5)


@pytest.mark.parametrize("n", [1, 2, 10, 44, 120, 5000])
def test_extremes(n: int) -> None:
    nothing, all_lost, all_gained = Change(0, 0, n), Change(n, 0, n), Change(0, n, n)
    assert lower_bound(nothing) == pytest.approx(-(Z**2) / (n + Z**2))
    assert upper_bound(nothing) == -lower_bound(nothing)
    assert lower_bound(all_lost) == -1
    assert upper_bound(all_lost) == pytest.approx((Z**2 - n) / (Z**2 + n))
    assert upper_bound(all_gained) == 1
    assert non_inferior(all_lost, 0.99).verdict == ("worse" if n >= 5 else "undecided")


def test_bound_of_losses_only_is_near_the_exact_one() -> None:
    # With none gained, the share lost is binomial, and Clopper and Pearson's limit exact.
    def exact(lost: int, n: int) -> float:
        low, high = lost / n, 1.0
        for _ in range(60):
            p = (low + high) / 2
            at_most = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(lost + 1))
            low, high = (p, high) if at_most > 0.05 else (low, p)
        return low

    for lost, n in [(0, 120), (3, 120), (12, 120), (5, 30), (40, 160)]:
        assert -lower_bound(Change(lost, 0, n)) == pytest.approx(exact(lost, n), abs=0.025)


@given(changes())
def test_bounds_enclose_the_difference_and_mirror_each_other(change: Change) -> None:
    assert -1 <= lower_bound(change) <= change.difference <= upper_bound(change) <= 1
    assert upper_bound(change) == -lower_bound(change.reversed)
    assert lower_bound(change, 0.99) <= lower_bound(change, 0.9)


@given(changes(), st.floats(0, 1), st.floats(0, 1))
def test_one_more_loss_is_never_better(change: Change, margin: float, other: float) -> None:
    low, high = sorted((margin, other))
    result = non_inferior(change, low)
    assert result.bound == max(0.0, -lower_bound(change))
    if result.verdict == "not worse":
        assert result.bound <= low
        assert non_inferior(change, high).verdict == "not worse"
    if change.lost + change.gained < change.n:
        worse = Change(change.lost + 1, change.gained, change.n)
        assert lower_bound(worse) <= lower_bound(change) + 1e-9
        assert non_inferior(worse, low).bound >= result.bound - 1e-9
        assert result.acceptable or not non_inferior(worse, low).acceptable
        assert result.verdict != "worse" or non_inferior(worse, low).verdict == "worse"


def test_worse_is_never_said_too_often() -> None:
    # Of answers that changed without any true change, half are losses: all that the sign test rests on.
    for n, changed in [(10, 10), (12, 7), (40, 25), (200, 60)]:
        called = [
            lost for lost in range(changed + 1) if non_inferior(Change(lost, changed - lost, n), 0.1).verdict == "worse"
        ]
        assert sum(math.comb(changed, lost) for lost in called) / 2**changed <= 0.05
        assert called


def test_a_loss_at_the_margin_is_seldom_excluded() -> None:
    random = np.random.default_rng(1)
    for churn in (0.02, 0.1):
        counts = random.multinomial(120, [0.1 + churn / 2, churn / 2, 0.9 - churn], size=1500).tolist()
        through = fmean(non_inferior(Change(lost, gained, 120), 0.1).acceptable for lost, gained, _ in counts)
        # The score test holds its level about; four standard errors are 2.3 points.
        assert through < 0.09


def test_too_few_questions_to_exclude_the_margin() -> None:
    same, one_lost = non_inferior(Change(1, 1, 10), 0.05), non_inferior(Change(1, 0, 10), 0.05)
    assert (same.verdict, one_lost.verdict) == ("undecided", "undecided")
    assert same.excludable == pytest.approx(0.213, abs=1e-3)
    assert (same.acceptable, one_lost.acceptable) == (True, False)
    # With enough of them, it has to be shown.
    assert not non_inferior(Change(8, 8, 120), 0.05).acceptable


SENTENCES = [
    (3, 0, 120, "3 of 120 fewer right (-2.5 points); a loss of more than 6.1 points is excluded at 95%"),
    (8, 8, 120, "as many of 120 questions right as before; a loss of more than 5.8 points is excluded at 95%"),
    (9, 2, 120, "7 of 120 fewer right (-5.8 points); that is more than chance at 95%"),
    (9, 4, 120, "5 of 120 fewer right (-4.2 points); a loss of more than 9.6 points is excluded at 95%"
                ", but not one of 8.0 points"),
    (0, 0, 10, "as many of 10 questions right as before; a loss of more than 21 points is excluded at 95%"
               "; 10 questions can exclude losses of more than 21 points only"),
    (0, 9, 10, "9 of 10 more right (+90.0 points); any loss is excluded at 95%"),
]  # fmt: skip


@pytest.mark.parametrize(("lost", "gained", "n", "said"), SENTENCES)
def test_sentences(lost: int, gained: int, n: int, said: str) -> None:
    assert non_inferior(Change(lost, gained, n), 0.08).describe() == said


@pytest.mark.parametrize(("t", "degrees"), [(6.31375, 1), (2.91999, 2), (2.01505, 5), (1.69726, 30), (1.64486, 10**7)])
def test_student_at_the_tables_95_percent(t: float, degrees: int) -> None:
    assert student_p_value(t, degrees) == pytest.approx(0.05, abs=1e-6)
    assert student_p_value(-t, degrees) == pytest.approx(0.95, abs=1e-6)


@given(st.floats(-200, 200))
def test_student_of_one_and_two_degrees_has_closed_forms(t: float) -> None:
    assert student_p_value(t, 1) == pytest.approx(0.5 - math.atan(t) / math.pi, abs=1e-8)
    assert student_p_value(t, 2) == pytest.approx(0.5 - t / (2 * math.sqrt(2 + t * t)), abs=1e-8)


def test_sign_test() -> None:
    assert [sign_p_value(*pair) for pair in [(0, 0), (6, 0), (5, 1), (0, 3)]] == [1, 1 / 64, 7 / 64, 1]
    assert sign_p_value(700, 500) < 1e-8


LOW = [-5.0, -4.0, -3.0, -6.0, -5.5, -4.5, -3.5]


def moved(*gains: float) -> list[float]:
    return [before + gain for before, gain in zip(LOW, gains, strict=False)]


def test_better_by_right_answers() -> None:
    found = superior([False] * 7, [True] * 6 + [False], LOW, LOW)
    assert (found.better, found.sign_p, found.t_p) == (True, 1 / 64, None)
    assert found.describe() == "6 of 7 more right (+85.7 points); better: 6 gained and 0 lost (p = 0.016)"


def test_better_by_log_probabilities() -> None:
    gains = (2.0, 1.5, 3.0, 1.0, 2.5)
    found = superior([False] * 5, [True, True, *[False] * 3], LOW[:5], moved(*gains))
    assert found.better
    # One of five is less than a quarter: likelier answers alone may come of text that says something else of them.
    few = superior([False] * 5, [True, *[False] * 4], LOW[:5], moved(*gains))
    assert not few.better
    assert "too few are right for that to count: 2 more are needed" in few.reason
    assert found.t_p == pytest.approx(student_p_value(2 / math.sqrt(0.625 / 5), 4))
    assert found.mean_gain == pytest.approx(2)
    assert "likelier, by 2 nats on average (p = 0.0024)" in found.reason
    # No more right than before: likelier answers alone are not enough.
    assert not superior([True, *[False] * 4], [True, *[False] * 4], LOW[:5], moved(*gains)).better


def test_says_what_it_could_not_tell() -> None:
    one = superior([False], [True], [-5.0], [-0.1])
    assert (one.better, one.t_p, one.reason) == (False, None, "a single question cannot be tested")
    five = superior([False] * 5, [True] * 5, LOW[:5], moved(1, -1, 2, -2, 0.5))
    assert not five.better
    assert "5 gained and 0 lost (p = 0.031, where 0.025 would do, and it takes 6 gained" in five.reason
    alike = superior([False] * 5, [True] * 2 + [False] * 3, LOW[:5], moved(*[0.1] * 5))
    assert (alike.better, alike.t_p) == (False, None)
    assert "all changed alike" in alike.reason


@pytest.mark.parametrize("n", [5, 30])
@pytest.mark.parametrize("tied", [0.0, 1.0])
def test_no_change_is_seldom_called_better(n: int, tied: float) -> None:
    random = np.random.default_rng(n)
    called = []
    for _ in range(1000):
        before, after = random.random((2, n)) < 0.5
        gains = random.normal(0, 0.5, n) + tied * (after.astype(float) - before)
        called.append(superior(before.tolist(), after.tolist(), [0.0] * n, gains.tolist()).better)
    assert fmean(called) < 0.05


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(-50, 0), st.floats(-50, 0)), min_size=1, max_size=40))
def test_better_one_way_is_not_better_the_other(rows: list[tuple[bool, bool, float, float]]) -> None:
    right, later = [row[0] for row in rows], [row[1] for row in rows]
    odds, odds_later = [row[2] for row in rows], [row[3] for row in rows]
    forth, back = superior(right, later, odds, odds_later), superior(later, right, odds_later, odds)
    assert not (forth.better and back.better)
    assert not forth.better or forth.change.gained > forth.change.lost
    if forth.t_p is not None and back.t_p is not None:
        assert forth.t_p + back.t_p == pytest.approx(1)


@pytest.mark.parametrize("numbers", [(-1, 0, 5), (0, -1, 5), (3, 3, 5), (0, 0, 0)])
def test_no_such_change(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="not a change"):
        Change(*numbers)


def test_what_cannot_be_tested() -> None:
    for level, margin in product((0.5, 1.0, math.nan), (0.1,)):
        with pytest.raises(ValueError, match="level"):
            non_inferior(Change(0, 0, 5), margin, level)
        with pytest.raises(ValueError, match="level"):
            superior([True], [True], [0.0], [0.0], level)
    for margin in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="margin"):
            non_inferior(Change(0, 0, 5), margin)
    for odds in (-math.inf, math.nan):
        with pytest.raises(ValueError, match="finite"):
            superior([True] * 2, [True] * 2, [-1.0, odds], [-1.0, -1.0])
    with pytest.raises(ValueError, match="log-probabilities"):
        superior([True] * 2, [True] * 2, [-1.0], [-1.0, -1.0])
    with pytest.raises(ValueError, match="paired"):
        superior([True], [True] * 2, [-1.0], [-1.0])
    with pytest.raises(ValueError, match="not a change"):
        superior([], [], [], [])
    with pytest.raises(ValueError, match="negative"):
        sign_p_value(-1, 2)
    with pytest.raises(ValueError, match="degrees"):
        student_p_value(1.0, 0)
