"""Training problems as the paper's official code makes them (few-shot/self-edit.py, lines 268 to 366), in our words.

Beside the groups, which have other members (`augment.OFFICIAL`), it differs from ours in this: two of two
demonstrations are left out, too, and one of them asked for with none shown; colours become such as the problem has not;
problems are recoloured only where a group was chosen; and what a bound leaves out is a fair draw of all, unchanged
problems included.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations

from selfedit.domains.fewshot import augment
from selfedit.domains.fewshot.problem import Problem
from selfedit.types import Demonstration


def official_problems(pairs: Sequence[Demonstration], groups: Sequence[str], seed: int) -> list[Problem]:
    """All problems of grids in a random order, the same for the same seed; never empty."""
    rng = random.Random(seed)
    problems: list[Problem] = []
    for count in (1, 2):
        unchanged = augmented(pairs, groups, count)
        changed = [_changed(problem, rng, recolour=bool(groups)) for problem in unchanged]
        problems += dict.fromkeys([*changed, *unchanged])
    rng.shuffle(problems)
    return problems


def augmented(pairs: Sequence[Demonstration], groups: Sequence[str], count: int) -> list[Problem]:
    """The problems that leave `count` pairs out, and the groups' augmentations of them, each once."""
    plain = [
        Problem(tuple(pair for place, pair in enumerate(pairs) if place not in (asked, *others)), pairs[asked])
        for asked in range(len(pairs))
        for others in combinations([place for place in range(len(pairs)) if place != asked], count - 1)
    ]
    changed = [
        larger
        for name in groups
        for change in augment.OFFICIAL[name]
        for problem in plain
        if (larger := change(problem)) is not None
    ]
    return list(dict.fromkeys([*changed, *plain]))


def _changed(problem: Problem, rng: random.Random, recolour: bool) -> Problem:
    """The demonstrations in another order, and the colours exchanged."""
    shown = rng.sample(problem.demonstrations, len(problem.demonstrations))
    reordered = Problem(tuple(shown), problem.query)
    if not recolour:
        return reordered
    values = [value for pair in (*shown, problem.query) for value in (pair.input, pair.output)]
    used = {cell for value in values if isinstance(value, tuple) for row in value for cell in row} - {0}
    exchanged = augment.recolouring(rng, used).apply(reordered)
    assert exchanged is not None  # No grid has grown.
    return exchanged
