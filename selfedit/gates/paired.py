"""Better or worse? The same questions, asked before and after an update, and what chance alone would make of them.

Pure functions of counts and log-probabilities; benchmarks/gate_errors.py holds how often they err. All take questions
to be independent, and none to have helped to choose the update: of several candidates, the one that did best on these
questions looks better than it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

LEVEL = 0.95

LEAST_GAIN = 0.25
"""Of the questions, more right, where likelihood is the evidence: training on a text makes all that stands in it
likelier, even where answers were shuffled (`python -m benchmarks.rejected`: 1 of 8 more right, by 4.5 nats)."""

Verdict = Literal["not worse", "worse", "undecided"]

# Intervals of the integral below; and how far it reaches, in standard deviations beyond its lower end.
_INTERVALS, _REACH = 1000, 12.0
# Differences of log-probabilities that vary by less than this share of what was subtracted vary by rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Change:
    """Questions by what became of their answers: right before and wrong after, or the reverse; of `n` in all.

    ValueError unless 0 <= lost, 0 <= gained, lost + gained <= n and 1 <= n.
    """

    lost: int
    gained: int
    n: int

    def __post_init__(self) -> None:
        if min(self.lost, self.gained) < 0 or self.lost + self.gained > self.n or self.n < 1:
            raise ValueError(f"not a change of answers: {self.lost} lost and {self.gained} gained of {self.n}")

    @classmethod
    def of(cls, before_right: Sequence[bool], after_right: Sequence[bool]) -> Change:
        """Count. ValueError if there are no answers, or not as many before as after."""
        if len(before_right) != len(after_right):
            raise ValueError(f"{len(before_right)} answers before cannot be paired with {len(after_right)} after")
        pairs = list(zip(before_right, after_right, strict=True))
        lost, gained = (sum(b and not a for b, a in pairs), sum(a and not b for b, a in pairs))
        return cls(lost, gained, len(pairs))

    @property
    def difference(self) -> float:
        """Share right after less share right before; below 0 is a loss."""
        return (self.gained - self.lost) / self.n

    @property
    def reversed(self) -> Change:
        """After and before exchanged."""
        return Change(self.gained, self.lost, self.n)

    def describe(self) -> str:
        """As "3 of 120 fewer right (-2.5 points)"."""
        net = self.gained - self.lost
        if net == 0:
            return f"as many of {_questions(self.n)} right as before"
        return f"{abs(net)} of {self.n} {'more' if net > 0 else 'fewer'} right ({100 * self.difference:+.1f} points)"


def points(described: str) -> float | None:
    """The difference in points that a text which `Change.describe` wrote, or that begins with it, says; else None."""
    if re.match(r"as many of \d+ question", described):
        return 0.0
    found = re.match(r"\d+ of \d+ (?:more|fewer) right \(([+-][\d.]+) points\)", described)
    return float(found[1]) if found else None


def lower_bound(change: Change, level: float = LEVEL) -> float:
    """The least true difference in share right, -1 to 1, that a one-sided test at 1 - `level` does not reject.

    The test is Tango's score test of paired differences (1998, Statistics in Medicine 17:891-908), inverted by
    bisection. Its rate of error is 1 - `level` for large n only; where nothing changed the bound is
    -z^2 / (n + z^2), Wilson's limit, which for 10 questions at 95% is 21 points where the exact limit is 26.

    Raises:
        ValueError: `level` is not above 0.5 and below 1.
    """
    z = _z(level)
    if change.lost == change.n:
        return -1.0
    low, high = -1.0, change.difference
    for _ in range(60):
        middle = (low + high) / 2
        if _score(change, middle) > z:
            low = middle
        else:
            high = middle
    return low


def upper_bound(change: Change, level: float = LEVEL) -> float:
    """The largest true difference that such a test does not reject; as `lower_bound`, with its errors."""
    return -lower_bound(change.reversed, level)


def _score(change: Change, difference: float) -> float:
    """Tango's statistic, about standard normal if `difference` is the true one; it falls as that grows."""
    n, excess = change.n, change.gained - change.lost - change.n * difference
    # The likeliest probability of a loss, given the difference, is the larger root of a quadratic 2n, linear, constant.
    linear = (2 * n - change.gained + change.lost) * difference - change.gained - change.lost
    constant = -change.lost * difference * (1 - difference)
    root = math.sqrt(max(0.0, linear * linear - 8 * n * constant))
    lost = (root - linear) / (4 * n) if linear <= 0 else -2 * constant / (root + linear)
    variance = n * (2 * lost + difference * (1 - difference))
    if variance <= 0:
        return math.copysign(math.inf, excess) if excess else 0.0
    return excess / math.sqrt(variance)


def sign_p_value(more: int, fewer: int) -> float:
    """The chance of at least `more` heads in `more + fewer` throws of a fair coin: the exact one-sided sign test.

    1 if there was none. ValueError if a number is negative.
    """
    if min(more, fewer) < 0:
        raise ValueError(f"numbers of answers are not negative: {more}, {fewer}")
    throws = more + fewer
    return sum(math.comb(throws, heads) for heads in range(more, throws + 1)) / (1 << throws)


def student_p_value(t: float, degrees: int) -> float:
    """The chance that Student's t with `degrees` of freedom is larger than `t`, to eight digits.

    ValueError if `t` is not a number, or `degrees` is below 1.
    """
    if math.isnan(t) or degrees < 1:
        raise ValueError(f"no t distribution has t={t} with {degrees} degrees of freedom")
    if t < 0:
        return 1 - student_p_value(-t, degrees)
    # With t = sqrt(degrees) tan(angle), the density of the angle is proportional to cos(angle)^(degrees - 1).
    start = math.atan(t / math.sqrt(degrees))
    angles = np.linspace(start, min(math.pi / 2, start + _REACH / math.sqrt(degrees)), _INTERVALS + 1)
    density = np.abs(np.cos(angles)) ** (degrees - 1)
    simpson = density[0] + density[-1] + 4 * density[1::2].sum() + 2 * density[2:-1:2].sum()
    whole = math.sqrt(math.pi) * math.exp(math.lgamma(degrees / 2) - math.lgamma((degrees + 1) / 2))
    return float(simpson * (angles[1] - angles[0]) / 3 / whole)


@dataclass(frozen=True)
class NonInferiority:
    """Whether answers became worse.

    Attributes:
        margin: the loss that would be put up with, a share.
        bound: the largest loss that cannot be excluded at `level`, a share; 0 where none can be.
        excludable: the bound if no answer had changed: no lesser loss can be excluded with so many questions, unless
            some are gained.
    """

    verdict: Verdict
    change: Change
    margin: float
    bound: float
    excludable: float
    level: float = LEVEL

    @property
    def acceptable(self) -> bool:
        """Whether to let the update through: it is not worse or, where that cannot be shown, nothing was lost on net.

        What cannot be shown with so few questions, even by an update that changes none, cannot be asked for.
        """
        if self.excludable > self.margin and self.verdict == "undecided":
            return self.change.gained >= self.change.lost
        return self.verdict == "not worse"

    def describe(self) -> str:
        """As "3 of 120 fewer right (-2.5 points); a loss of more than 6.1 points is excluded at 95%"."""
        level = f"at {100 * self.level:g}%"
        if self.verdict == "worse":
            return f"{self.change.describe()}; that is more than chance {level}"
        if self.bound == 0:
            return f"{self.change.describe()}; any loss is excluded {level}"
        said = f"{self.change.describe()}; a loss of more than {_points(self.bound)} is excluded {level}"
        if self.verdict == "undecided" and self.bound >= self.excludable > self.margin:
            least = _points(self.excludable)
            return f"{said}; {_questions(self.change.n)} can exclude losses of more than {least} only"
        return said if self.verdict == "not worse" else f"{said}, but not one of {_points(self.margin)}"


def non_inferior(change: Change, margin: float, level: float = LEVEL) -> NonInferiority:
    """Is the loss, if there is one, within `margin`, a share?

    "worse" if both Tango's bound and the exact sign test call a loss significant, be it within the margin: so the
    rate of false alarms is at most 1 - `level` for any number of questions. Otherwise "not worse" if losses above
    the margin are excluded, and else "undecided".

    Raises:
        ValueError: `margin` is not from 0 to 1, or `level` is not above 0.5 and below 1.
    """
    if not 0 <= margin <= 1:
        raise ValueError(f"a margin is a share from 0 to 1, not {margin}")
    bound = max(0.0, -lower_bound(change, level))
    excludable = -lower_bound(Change(0, 0, change.n), level)
    verdict: Verdict = "not worse" if bound <= margin else "undecided"
    if upper_bound(change, level) < 0 and sign_p_value(change.lost, change.gained) <= 1 - level:
        verdict = "worse"
    return NonInferiority(verdict, change, margin, bound, excludable, level)


@dataclass(frozen=True)
class Superiority:
    """Whether answers became better.

    Attributes:
        mean_gain: of the gold answers' log-probabilities, in their unit (nats).
        sign_p: of the exact one-sided sign test on right answers.
        t_p: of the paired one-sided t-test on log-probabilities; None for one question, or where all differences are
            the same, since then they say nothing about how much they vary.
        reason: what could be told with so many questions, and what could not.
    """

    better: bool
    change: Change
    mean_gain: float
    sign_p: float
    t_p: float | None
    reason: str
    level: float = LEVEL

    def describe(self) -> str:
        """As "2 of 10 more right (+20.0 points); better: gold answers became likelier, by 1.2 nats ..."."""
        return f"{self.change.describe()}; {'better' if self.better else 'not shown to be better'}: {self.reason}"


def superior(
    before_right: Sequence[bool],
    after_right: Sequence[bool],
    before_logprob: Sequence[float],
    after_logprob: Sequence[float],
    level: float = LEVEL,
) -> Superiority:
    """Are answers about new material better? At least one more is right in total, and it is not by chance.

    Two tests may show that: the exact sign test on answers that changed, and a paired t-test on the gold answers'
    log-probabilities, which counts only if a quarter of the answers (`LEAST_GAIN`) turned right. Each is given half of
    1 - `level` (Bonferroni), so that both together err at most that often, however they depend on each other; the
    t-test as far as differences are about normal, or many.

    Raises:
        ValueError: there are no answers, not as many of each kind, a log-probability is not finite, or `level` is not
            above 0.5 and below 1.
    """
    _z(level)
    change = Change.of(before_right, after_right)
    if not len(before_logprob) == len(after_logprob) == change.n:
        raise ValueError(f"{change.n} answers need as many log-probabilities before and after")
    before_N, after_N = (np.asarray(values, dtype=np.float64) for values in (before_logprob, after_logprob))
    if not np.isfinite([before_N, after_N]).all():
        raise ValueError("log-probabilities have to be finite")
    gains_N = after_N - before_N
    mean = float(gains_N.mean())
    spread = float(gains_N.std(ddof=1)) if change.n > 1 else 0.0
    t_p = None
    if spread > _ROUNDING * max(np.abs(before_N).max(), np.abs(after_N).max()):
        t_p = student_p_value(mean * math.sqrt(change.n) / spread, change.n - 1)
    sign_p = sign_p_value(change.gained, change.lost)
    each = (1 - level) / 2
    telling = t_p is not None and t_p <= each and change.difference >= LEAST_GAIN
    better = change.gained > change.lost and (sign_p <= each or telling)
    return Superiority(better, change, mean, sign_p, t_p, _reason(change, mean, sign_p, t_p, each), level)


def _reason(change: Change, mean_gain: float, sign_p: float, t_p: float | None, each: float) -> str:
    """What the tests, each at the rate of error `each`, found or could not."""
    signs = f"{change.gained} gained and {change.lost} lost (p = {sign_p:.2g}"
    likelier = "likelier" if mean_gain > 0 else "less likely"
    odds = f"gold answers became {likelier}, by {abs(mean_gain):.2g} nats on average"
    if change.n < 2:
        return "a single question cannot be tested"
    if change.gained <= change.lost:
        return "no more answers are right than before"
    if sign_p <= each:
        return f"{signs})"
    if t_p is not None and t_p <= each:
        few = f", but too few are right for that to count: {math.ceil(LEAST_GAIN * change.n)} more are needed"
        return f"{odds} (p = {t_p:.2g}){'' if change.difference >= LEAST_GAIN else few}"
    needed = math.ceil(-math.log2(each))
    takes = f", and it takes {needed} gained and none lost to tell" if change.n < needed else ""
    alike = "log-probabilities all changed alike, which tells nothing"
    return f"{signs}, where {each:.2g} would do{takes}), and {alike if t_p is None else f'{odds} (p = {t_p:.2g})'}"


def _z(level: float) -> float:
    """The normal quantile of a one-sided level."""
    if not 0.5 < level < 1:
        raise ValueError(f"a one-sided level is above 0.5 and below 1, not {level}")
    return NormalDist().inv_cdf(level)


def _points(share: float) -> str:
    """A share in percentage points, with two digits or so."""
    points = 100 * share
    return f"{points:.{1 if round(points, 1) < 10 else 0}f} points"


def _questions(n: int) -> str:
    return f"{n} question" if n == 1 else f"{n} questions"
