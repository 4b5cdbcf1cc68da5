from __future__ import annotations

import pytest

from selfedit.report.retention import Forgetting, forgetting


def test_forgetting_by_hand() -> None:
    found = forgetting([[0.8, None, None], [0.9, 0.6, None], [0.5, 0.7, 0.4]])
    assert found.right_after == pytest.approx(0.6)
    assert found.final == pytest.approx(1.6 / 3)
    assert found.forgetting == pytest.approx((0.3 - 0.1) / 2)
    assert found.backward_transfer == pytest.approx(-0.1)
    assert found.from_peak == pytest.approx((0.4 + 0.0) / 2)


def test_a_triangle_and_a_full_matrix_are_the_same() -> None:
    assert forgetting([[1.0], [0.5, 1.0]]) == forgetting([[1.0, 0.2], [0.5, 1.0]])


def test_one_edit_forgets_nothing_yet() -> None:
    assert forgetting([[0.7]]) == Forgetting(0.7, 0.7, None, None)
    assert forgetting([[0.7]]).backward_transfer is None


@pytest.mark.parametrize("matrix", [[], [[]], [[1.0], [1.0]], [[1.0], [None, 1.0]]])
def test_holes_below_the_diagonal(matrix: list[list[float | None]]) -> None:
    with pytest.raises(ValueError, match="matrix of accuracies"):
        forgetting(matrix)
