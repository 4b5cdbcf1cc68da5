"""Algorithms by name. A new one is one file and one line here; a user's own is `package.module:Class`."""

from __future__ import annotations

from selfedit.experiments.algorithms.base import Algorithm, PolicyUpdate, Round
from selfedit.experiments.algorithms.rest_em import RestEm
from selfedit.experiments.groups import OuterSettings
from selfedit.imports import load_named

ALGORITHMS: dict[str, type[Algorithm]] = {algorithm.name: algorithm for algorithm in (RestEm,)}

__all__ = ["ALGORITHMS", "Algorithm", "PolicyUpdate", "Round", "load_algorithm", "make_algorithm"]


def load_algorithm(name: str) -> type[Algorithm]:
    """The algorithm of that name.

    Raises:
        UserError: there is none; the nearest is suggested.
    """
    return load_named(name, "algorithm", ALGORITHMS, Algorithm)


def make_algorithm(settings: OuterSettings) -> Algorithm:
    """The algorithm that the settings name."""
    return load_algorithm(settings.algorithm)(settings)
