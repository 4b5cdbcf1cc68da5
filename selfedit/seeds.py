"""One way to get from a run's seed to all others."""

from __future__ import annotations

import hashlib

_TRAINING_SEEDS = 1000
"""Of one run, at most; the next run's seed takes the ones behind them."""


def derive_seed(*parts: object) -> int:
    """A seed of 48 bits that depends on `parts` alone, such as a run's seed, a task's id and a number."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big")


def training_seeds(seed: int, count: int) -> tuple[int, ...]:
    """The seeds that adapters are trained with: numbers in a row, since records and reports show them to people."""
    return tuple(seed * _TRAINING_SEEDS + number for number in range(count))
