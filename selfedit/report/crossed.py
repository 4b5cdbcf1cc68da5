"""Intervals where all passages share a model: it is drawn as well as they are, and so it is a source of noise as well.

One adapter on many passages, or one trained policy, may be a lucky one for all of them at once. Resampling passages
alone does not see that. With several training seeds passages and seeds are crossed, and both count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from selfedit.report.statistics import LEVEL, Estimate, Floats, Groups, student_quantile


def crossed_mean(by_seed: Sequence[Groups], *, level: float = LEVEL) -> Estimate:
    """The mean of all values, with an interval for other passages and other seeds of the same kind.

    The mean over questions is a ratio; about it, each passage's part [seed, passage] is linear, and a two-way analysis
    of variance with random effects splits what it varies by. Half the interval is the root of two squares: Student's t
    of the seeds times what seeds alone add, (MS_seeds - MS_rest) / (seeds x passages), or 0 where that is negative; and
    Student's t of the passages times the rest, MS_passages / (seeds x passages).

    Args:
        by_seed: the same passages and questions, once for each of at least two seeds.

    Raises:
        ValueError: there is one seed or one passage only, they differ in shape, or a value is not finite.
    """
    sums_SP, counts_P = _parts(by_seed)
    seeds, passages = sums_SP.shape
    mean = float(sums_SP.sum() / (seeds * counts_P.sum()))
    # Deviations from the mean, a passage weighing as many questions as it has.
    parts_SP = (sums_SP - mean * counts_P) / counts_P.mean()
    of_seed_S, of_passage_P = parts_SP.mean(axis=1), parts_SP.mean(axis=0)
    rest_SP = parts_SP - of_seed_S[:, None] - of_passage_P[None, :]
    rest = float((rest_SP**2).sum()) / ((seeds - 1) * (passages - 1))
    by_seeds = passages * float((of_seed_S**2).sum()) / (seeds - 1)
    by_passages = seeds * float((of_passage_P**2).sum()) / (passages - 1)
    t_seeds, t_passages = (student_quantile((1 + level) / 2, count - 1) for count in (seeds, passages))
    squares = t_seeds**2 * max(by_seeds - rest, 0.0) + t_passages**2 * by_passages
    reach = math.sqrt(squares / (seeds * passages))
    return Estimate(mean, mean - reach, mean + reach, passages, level)


def crossed_difference(a_by_seed: Sequence[Groups], b_by_seed: Sequence[Groups], *, level: float = LEVEL) -> Estimate:
    """The mean of a - b, value by value and seed by seed. A side with one seed, as no update, stands against each.

    ValueError as of `crossed_mean`, and if both have several seeds, and not as many.
    """
    seeds = max(len(a_by_seed), len(b_by_seed))
    sides = [list(side) * seeds if len(side) == 1 else list(side) for side in (a_by_seed, b_by_seed)]
    differences = [
        [[x - y for x, y in zip(p, q, strict=True)] for p, q in zip(a, b, strict=True)]
        for a, b in zip(*sides, strict=True)
    ]
    return crossed_mean(differences, level=level)


def _parts(by_seed: Sequence[Groups]) -> tuple[Floats, Floats]:
    """The sums of values [seed, passage] and their numbers [passage]; passages without values are left out."""
    counts = [[len(group) for group in groups] for groups in by_seed]
    if any(row != counts[0] for row in counts):
        raise ValueError("seeds need the same passages with the same questions in the same order")
    filled = [index for index, count in enumerate(counts[0]) if count]
    if len(by_seed) < 2 or len(filled) < 2:
        raise ValueError("an interval over seeds needs two of them, and two passages")
    sums_SP = np.array([[float(sum(groups[index])) for index in filled] for groups in by_seed])
    if not np.isfinite(sums_SP).all():
        raise ValueError("values to take the mean of are not finite")
    return sums_SP, np.array([counts[0][index] for index in filled], dtype=np.float64)
