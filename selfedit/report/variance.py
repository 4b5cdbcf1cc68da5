"""How much of what a reward says is about the edit, and how much about the seed it was trained with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from selfedit.report.statistics import LEVEL, RESAMPLES, Estimate, Floats, interval, resampled_sums

Context = Sequence[Sequence[float]]
"""Rewards by edit, by seed."""


_ROUNDING = 1e-24


@dataclass(frozen=True)
class VarianceShares:
    """The variance of rewards within a context, split: `between` edits and `within` an edit, between its seeds.

    `icc` is the share that lies between edits, which is the reliability of a reward from one seed; its interval
    comes from resampling contexts. `seeds` is how many an edit has (on average, where they differ). `tie_share` is
    the share of pairs of edits of one context with the same mean reward.
    """

    between: float
    within: float
    icc: Estimate
    seeds: float
    tie_share: float

    @property
    def n_contexts(self) -> int:
        """The contexts that could be used."""
        return self.icc.n

    @property
    def reliability_of_mean(self) -> float:
        """The reliability of an edit's mean over the seeds that it has."""
        return self.reliability(self.seeds)

    def reliability(self, seeds: float) -> float:
        """The share of the variance of means over so many seeds that lies between edits (Spearman-Brown)."""
        return seeds * self.icc.mean / (1 + (seeds - 1) * self.icc.mean)


def variance_shares(
    rewards_CES: Sequence[Context], *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> VarianceShares:
    """Split the variance of rewards [context][edit][seed], which may be ragged, by a one-way random-effects ANOVA.

    Each context has its own mean, so that what is easy about a passage counts for neither side; sums of squares and
    degrees of freedom are pooled over contexts. Edits with fewer than two seeds, and then contexts with fewer than
    two edits, are left out. An estimate of the variance between edits that comes out negative, as it does by chance
    where there is none, is 0; rewards that never vary have an icc of 0. ValueError if no context is left.
    """
    edits = ([edit for edit in context if len(edit) > 1] for context in rewards_CES)
    contexts = [context for context in edits if len(context) > 1]
    if not contexts:
        raise ValueError("no context has two edits with two seeds each")
    parts_CF = np.array([_sums_of_squares(context) for context in contexts])
    if not np.isfinite(parts_CF).all():
        raise ValueError("rewards are not finite")
    between, within, seeds = (float(x[0]) for x in _components(parts_CF.sum(axis=0, keepdims=True)))
    drawn_between_R, drawn_within_R, _ = _components(resampled_sums(parts_CF, seed, resamples))
    low, high = interval(_share(drawn_between_R, drawn_within_R), len(contexts), level)
    icc = float(_share(np.array([between]), np.array([within]))[0])
    return VarianceShares(between, within, Estimate(icc, low, high, len(contexts), level), seeds, _tie_share(contexts))


def _sums_of_squares(context: Context) -> list[float]:
    """Of one context: sum of squares and degrees of freedom between edits and within, and the seeds' weight.

    The last is what the variance between edits is multiplied by in the expected sum of squares between them.
    """
    sizes = np.array([len(edit) for edit in context], dtype=np.float64)
    means = np.array([np.mean(edit) for edit in context])
    grand = (sizes * means).sum() / sizes.sum()
    between = (sizes * (means - grand) ** 2).sum()
    within = sum(float(((np.asarray(edit) - mean) ** 2).sum()) for edit, mean in zip(context, means, strict=True))
    weight = sizes.sum() - (sizes**2).sum() / sizes.sum()
    # Equal rewards leave sums of rounding errors, whose ratio says nothing.
    between, within = (0.0 if total < _ROUNDING else total for total in (between, within))
    return [between, len(context) - 1, within, sizes.sum() - len(context), weight]


def _components(parts_RF: Floats) -> tuple[Floats, Floats, Floats]:
    """Variance between edits and within, and the seeds an edit has, from summed `_sums_of_squares`, row by row."""
    between, between_degrees, within, within_degrees, weight = parts_RF.T
    seeds = weight / between_degrees
    mean_within = within / within_degrees
    return np.maximum(0.0, (between / between_degrees - mean_within) / seeds), mean_within, seeds


def _share(between: Floats, within: Floats) -> Floats:
    total = between + within
    return np.divide(between, total, out=np.zeros_like(total), where=total > 0)


def _tie_share(contexts: Sequence[Context]) -> float:
    # Rounded, because the same rewards added up in another order may differ in the last digit.
    means = [[round(math.fsum(edit) / len(edit), 12) for edit in context] for context in contexts]
    ties = [a == b for context in means for a, b in combinations(context, 2)]
    return sum(ties) / len(ties)
