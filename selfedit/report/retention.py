"""What a sequence of updates did to what earlier ones had taught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True)
class Forgetting:
    """Accuracies as shares. The last two are None after a single edit, when nothing could yet be forgotten.

    `right_after` is the mean accuracy on each passage just after its own edit, `final` on all passages after the
    last. `forgetting` is the mean over all passages but the last of what was lost between the two;
    `from_peak` counts from the best accuracy that the passage ever had, and so is never smaller.
    """

    right_after: float
    final: float
    forgetting: float | None
    from_peak: float | None

    @property
    def backward_transfer(self) -> float | None:
        """Forgetting with its sign turned: above zero where later edits helped earlier passages."""
        return None if self.forgetting is None else 0.0 - self.forgetting


def forgetting(matrix: Sequence[Sequence[float | None]]) -> Forgetting:
    """Sum up a matrix of accuracies: matrix[i][j] is that on passage j after edit i, for j <= i.

    What lies above the diagonal is ignored and may be missing. ValueError if the matrix is empty, or lacks an
    accuracy on or below the diagonal.
    """
    rows = [_row(row, index) for index, row in enumerate(matrix)]
    if not rows:
        raise ValueError("a matrix of accuracies needs at least one row")
    last = len(rows) - 1
    diagonal = [row[-1] for row in rows]
    lost = [diagonal[j] - rows[last][j] for j in range(last)]
    below_peak = [max(row[j] for row in rows[j:]) - rows[last][j] for j in range(last)]
    return Forgetting(fmean(diagonal), fmean(rows[last]), _mean(lost), _mean(below_peak))


def _row(row: Sequence[float | None], index: int) -> list[float]:
    values = [value for value in row[: index + 1] if value is not None]
    if len(values) != index + 1:
        raise ValueError(f"row {index} of a matrix of accuracies has {len(values)} up to the diagonal, not {index + 1}")
    return values


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None
