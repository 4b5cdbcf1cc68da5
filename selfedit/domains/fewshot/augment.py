"""Augmentations of grids: what stays true of a task when all its grids are turned, grown or recoloured alike.

The groups are the paper's (appendix A, after 2411.07279), ours with more in them; each augmentation knows its inverse.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from selfedit.domains.fewshot.problem import Problem
from selfedit.domains.fewshot.values import COLOURS, LARGEST
from selfedit.types import Demonstration, Grid

Change = Callable[[Grid], Grid]


@dataclass(frozen=True)
class Augmentation:
    """A change of a grid that can be undone."""

    name: str
    forward: Change
    inverse: Change

    def then(self, other: Augmentation) -> Augmentation:
        """This one first, the other after it."""
        return Augmentation(
            f"{self.name}, {other.name}",
            lambda grid: other.forward(self.forward(grid)),
            lambda grid: self.inverse(other.inverse(grid)),
        )

    def apply(self, problem: Problem) -> Problem | None:
        """All grids of a problem changed alike; None if one would be too large."""

        def changed(pair: Demonstration) -> Demonstration:
            return Demonstration(self.forward(_grid(pair.input)), self.forward(_grid(pair.output)))

        augmented = Problem(tuple(map(changed, problem.demonstrations)), changed(problem.query))
        grids = [_grid(value) for p in (*augmented.demonstrations, augmented.query) for value in (p.input, p.output)]
        return augmented if all(max(len(grid), len(grid[0])) <= LARGEST for grid in grids) else None


def flip_rows(grid: Grid) -> Grid:
    """Upside down."""
    return grid[::-1]


def flip_columns(grid: Grid) -> Grid:
    """Left and right exchanged."""
    return tuple(row[::-1] for row in grid)


def transpose(grid: Grid) -> Grid:
    """Rows become columns."""
    return tuple(zip(*grid, strict=True))


def _turn_right(grid: Grid) -> Grid:
    return flip_columns(transpose(grid))


def _turn_left(grid: Grid) -> Grid:
    return flip_rows(transpose(grid))


def _turn_half(grid: Grid) -> Grid:
    return flip_rows(flip_columns(grid))


def _antitranspose(grid: Grid) -> Grid:
    return _turn_half(transpose(grid))


def _sideways(change: Change) -> Change:
    """The same change on columns instead of rows."""
    return lambda grid: transpose(change(transpose(grid)))


def _upper_half(grid: Grid) -> Grid:
    return grid[: len(grid) // 2]


def _lower_half(grid: Grid) -> Grid:
    return grid[len(grid) // 2 :]


def _every_second(grid: Grid) -> Grid:
    return grid[::2]


def _mirrored(grid: Grid) -> Grid:
    return grid + grid[::-1]


def _mirrored_before(grid: Grid) -> Grid:
    return grid[::-1] + grid


def _repeated(grid: Grid) -> Grid:
    return grid + grid


def _doubled(grid: Grid) -> Grid:
    return tuple(row for row in grid for _ in range(2))


IDENTITY = Augmentation("as it is", lambda grid: grid, lambda grid: grid)

UPSIDE_DOWN = Augmentation("upside down", flip_rows, flip_rows)
LEFT_TO_RIGHT = Augmentation("left to right", flip_columns, flip_columns)
TURNED_LEFT = Augmentation("turned left", _turn_left, _turn_right)
TURNED_AROUND = Augmentation("turned around", _turn_half, _turn_half)
TRANSPOSED = Augmentation("transposed", transpose, transpose)
RIGID = (
    Augmentation("turned right", _turn_right, _turn_left),
    TURNED_AROUND,
    TURNED_LEFT,
    UPSIDE_DOWN,
    LEFT_TO_RIGHT,
    TRANSPOSED,
    Augmentation("transposed the other way", _antitranspose, _antitranspose),
)
"""What leaves a grid's size alone but for exchanging its sides. Voting looks at a task in these ways."""

_REFLECTIONS = (
    Augmentation("mirrored below", _mirrored, _upper_half),
    Augmentation("mirrored beside", _sideways(_mirrored), _sideways(_upper_half)),
)
_TALL = Augmentation("height doubled", _doubled, _every_second)
_WIDE = Augmentation("width doubled", _sideways(_doubled), _sideways(_every_second))
SIZE = (_TALL, _WIDE, _TALL.then(_WIDE))
_BELOW = Augmentation("repeated below", _repeated, _upper_half)
_BESIDE = Augmentation("repeated beside", _sideways(_repeated), _sideways(_upper_half))
REPEAT = (_BELOW, _BESIDE, _BELOW.then(_BESIDE))
CHAIN = tuple(first.then(second) for first in RIGID for second in SIZE)


def rolled(grid: Grid, down: int, right: int) -> Grid:
    """Every row moved down and every cell to the right; what falls off comes back on the other side."""
    below, beside = down % len(grid), right % len(grid[0])
    rows = grid[len(grid) - below :] + grid[: len(grid) - below]
    return tuple(row[len(row) - beside :] + row[: len(row) - beside] for row in rows)


def translation(down: int, right: int) -> Augmentation:
    """All grids moved by the same."""
    name = f"moved by {down} and {right}"
    return Augmentation(name, lambda grid: rolled(grid, down, right), lambda grid: rolled(grid, -down, -right))


def recolouring(rng: random.Random, used: Collection[int] = ()) -> Augmentation:
    """Colours 1 to 9 exchanged at random; 0, as a rule the background, stays.

    Args:
        used: the colours that are there, if they are to be exchanged as in the official code
            (few-shot/arclib/augmenters.py, lines 122 to 165): in their order they become such as are not there; when
            there are no more, each of the others changes places with any, also with one that has a new colour already.
    """
    if not used:
        return _exchanged(rng.sample(range(1, COLOURS), COLOURS - 1))
    free = [colour for colour in range(1, COLOURS) if colour not in used]
    partners = rng.sample(sorted(used), len(used))
    rng.shuffle(free)
    new: dict[int, int] = {}
    for colour in sorted(used):
        if colour in new:
            continue
        if free:
            new[colour] = free.pop()
        else:
            partner = partners.pop()
            new[partner], new[colour] = colour, partner
            partners = [other for other in partners if other != colour]
    # Colours that are not there may become anything, so that it can be undone.
    left = [colour for colour in range(1, COLOURS) if colour not in new.values()]
    return _exchanged([new[colour] if colour in new else left.pop() for colour in range(1, COLOURS)])


def _exchanged(new: Sequence[int]) -> Augmentation:
    """Colours 1 to 9 become these."""
    colours = [0, *new]
    back = [colours.index(colour) for colour in range(COLOURS)]

    def exchanged(grid: Grid, table: list[int]) -> Grid:
        return tuple(tuple(table[cell] for cell in row) for row in grid)

    return Augmentation("recoloured", lambda grid: exchanged(grid, colours), lambda grid: exchanged(grid, back))


def group(name: str, rng: random.Random) -> tuple[Augmentation, ...]:
    """The augmentations of a group: basic, size, chain or repeat."""
    if name == "basic":
        return (*RIGID, *_REFLECTIONS, translation(rng.randint(1, 3), rng.randint(1, 3)))
    return {"size": SIZE, "chain": CHAIN, "repeat": REPEAT}[name]


def _officially_moved(problem: Problem) -> Problem:
    """As the official code moves them, whatever the seed: all inputs of a size alike, and all outputs, but not both.

    Its generator is copied for each pair, always in the state of seed 0 (few-shot/self-edit.py, line 533), and draws
    for the output where it stopped for the input (few-shot/arclib/augmenters.py, lines 56, 68 and 538).
    """

    def moved(pair: Demonstration) -> Demonstration:
        draws = np.random.RandomState(0)

        def of(grid: Grid) -> Grid:
            return rolled(grid, int(draws.randint(0, min(4, len(grid)))), int(draws.randint(0, min(4, len(grid[0])))))

        return Demonstration(of(_grid(pair.input)), of(_grid(pair.output)))

    return Problem(tuple(map(moved, problem.demonstrations)), moved(problem.query))


_TURNS_AND_FLIPS = (TURNED_LEFT, RIGID[0], TURNED_AROUND, UPSIDE_DOWN, LEFT_TO_RIGHT)
_REFLECTIONS_BEFORE = (
    Augmentation("mirrored above", _mirrored_before, _lower_half),
    Augmentation("mirrored before", _sideways(_mirrored_before), _sideways(_lower_half)),
)
OFFICIAL: dict[str, tuple[Callable[[Problem], Problem | None], ...]] = {
    "basic": (
        *(same.apply for same in (*_TURNS_AND_FLIPS, *_REFLECTIONS_BEFORE, *_REFLECTIONS, TRANSPOSED)),
        _officially_moved,
    ),
    "size": tuple(larger.apply for larger in SIZE),
    "chain": tuple(first.then(SIZE[-1]).apply for first in (*_TURNS_AND_FLIPS, TRANSPOSED)),
    "repeat": tuple(tiled.apply for tiled in REPEAT),
}
"""The groups of the official code (few-shot/self-edit.py, lines 151 to 209)."""


def _grid(value: object) -> Grid:
    assert isinstance(value, tuple)
    return value
