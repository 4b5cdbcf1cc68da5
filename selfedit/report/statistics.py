"""Intervals that respect how the data came about: questions of one passage are not independent, passages are.

docs/statistics.md says in words what is done here and why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Groups = Sequence[Sequence[float]]
"""Numbers by group: the outer index is what is independent (a passage), the inner what it holds (its questions)."""

RESAMPLES = 10_000
LEVEL = 0.95

# Numbers that one block of resamples may hold, so that thousands of groups do not fill the memory.
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Estimate:
    """A figure with the interval that holds the true one at `level` (a share, as 0.95).

    `n` counts the groups resampled, not the values in them. `low` and `high` are None where n is 1: one passage
    does not tell how much passages differ.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    level: float = LEVEL

    @property
    def distinguishable(self) -> bool:
        """Whether this, a difference, is more than chance: the interval excludes zero, and the groups suffice."""
        return self._excludes_zero and self._enough

    @property
    def verdict(self) -> str:
        """Of a difference: "better", "worse", "not distinguishable" or, of too few groups, "too few passages"."""
        if not self._excludes_zero:
            return "not distinguishable"
        if not self._enough:
            return "too few passages"
        return "better" if self.mean > 0 else "worse"

    @property
    def _excludes_zero(self) -> bool:
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    @property
    def _enough(self) -> bool:
        """n differences that are symmetric about zero all share a sign once in 2^(n-1) times, and then every interval
        made of them excludes zero. At 95% it therefore takes 6 groups before a verdict means what it says.
        """
        return 2.0 ** (1 - self.n) <= 1 - self.level


def bootstrap_mean(values_by_group: Groups, *, seed: int, resamples: int = RESAMPLES, level: float = LEVEL) -> Estimate:
    """The mean of all values, with an interval from resampling whole groups with replacement.

    Each value weighs the same, so a passage with many questions counts for more than one with few; a resample is
    weighted likewise. Groups without values are left out. Where all groups have the same mean, the interval has no
    width: the bootstrap knows of nothing that it did not see. ValueError if there is no value at all, or one that
    is not finite.
    """
    filled = [np.asarray(group, dtype=np.float64) for group in values_by_group if len(group)]
    if not filled:
        raise ValueError("no values to take the mean of")
    parts_GF = np.array([[values.sum(), len(values)] for values in filled])
    if not np.isfinite(parts_GF).all():
        raise ValueError("values to take the mean of are not finite")
    total, count = parts_GF.sum(axis=0)
    sums_RF = resampled_sums(parts_GF, seed, resamples)
    low, high = interval(sums_RF[:, 0] / sums_RF[:, 1], len(filled), level)
    return Estimate(float(total / count), low, high, len(filled), level)


def paired_difference(
    a_by_group: Groups, b_by_group: Groups, *, seed: int, resamples: int = RESAMPLES, level: float = LEVEL
) -> Estimate:
    """The mean of a - b, value by value, with an interval as of `bootstrap_mean`.

    Both hold the same groups and values in the same order and are resampled together: what makes a passage hard
    for both cancels. ValueError if the groups differ in number or in length, and as of `bootstrap_mean`.
    """
    if [len(group) for group in a_by_group] != [len(group) for group in b_by_group]:
        raise ValueError("paired values need the same groups of the same lengths in the same order")
    differences = [[x - y for x, y in zip(a, b, strict=True)] for a, b in zip(a_by_group, b_by_group, strict=True)]
    return bootstrap_mean(differences, seed=seed, resamples=resamples, level=level)


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that k of n samples, drawn without replacement, hold at least one of the c right ones.

    This is the unbiased estimate of the chance that k fresh samples do. ValueError unless 0 <= c <= n and
    1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@k needs 0 <= c <= n and 1 <= k <= n, not n={n}, c={c}, k={k}")
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def resampled_sums(parts_GF: Floats, seed: int, resamples: int) -> Floats:
    """Sums [resamples, F] of the groups' parts [G, F] over G groups drawn with replacement, resample by resample.

    A statistic that is a function of sums over groups is thereby computed for all resamples at once.
    """
    random = np.random.default_rng(seed)
    groups = len(parts_GF)
    block = max(1, _BLOCK // groups)
    blocks = [
        random.multinomial(groups, [1 / groups] * groups, size=min(block, resamples - start)) @ parts_GF
        for start in range(0, resamples, block)
    ]
    return np.concatenate(blocks)


def interval(draws_R: Floats, groups: int, level: float) -> tuple[float, float] | tuple[None, None]:
    """The percentile interval of a statistic's resamples; none for a single group.

    The percentiles lie further out than the level says: few groups vary less among themselves than the population
    does, by (n-1)/n, and that they are few calls for Student's t. (Hesterberg 2015, "expanded percentile".)
    """
    if not 0 < level < 1:
        raise ValueError(f"a level is between 0 and 1, not {level}")
    if groups < 2:
        return None, None
    reach = math.sqrt(groups / (groups - 1)) * student_quantile((1 + level) / 2, groups - 1)
    tail = NormalDist().cdf(-reach)
    low, high = np.quantile(draws_R, [tail, 1 - tail])
    return float(low), float(high)


@cache
def student_quantile(probability: float, degrees: int) -> float:
    """The quantile of Student's t, to four digits for probabilities from 0.005 to 0.995."""
    # With t = sqrt(degrees) tan(angle), the density of the angle is proportional to cos(angle)^(degrees - 1).
    angles = np.linspace(-math.pi / 2, math.pi / 2, 20_001)
    density = np.abs(np.cos(angles)) ** (degrees - 1)
    cumulative = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    angle = np.interp(probability, cumulative / cumulative[-1], angles)
    return float(math.sqrt(degrees) * np.tan(angle))
