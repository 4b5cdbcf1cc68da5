from __future__ import annotations

import pytest

from selfedit.graders.agreement import compare


def test_figures() -> None:
    found = compare([True, True, True, False, False], [True, True, False, False, True])
    assert (found.rows, found.agreement, found.bias) == (5, 0.6, 0.0)
    assert found.kappa == pytest.approx((0.6 - 0.52) / 0.48)
    assert found.confusion == {"both_right": 2, "both_wrong": 1, "only_grader_right": 1, "only_given_right": 1}


def test_bias_is_negative_where_the_grader_is_strict() -> None:
    assert compare([False, False, True, False], [True, False, True, False]).bias == -0.25


def test_kappa_where_all_say_the_same() -> None:
    assert compare([True, True], [True, True]).kappa == 1.0
    assert compare([True, True], [True, False]).kappa == 0.0
    with pytest.raises(ValueError, match="no verdicts"):
        compare([], [])
