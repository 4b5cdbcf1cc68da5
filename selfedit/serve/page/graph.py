"""The lineage drawn as a tree, newest version first: for each line, which lanes pass it and which meet in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from selfedit.store import BASE

_FIRST, _APART = 13, 15
"""Where the first lane is and how far apart they are, in pixels."""
_MOST = 8
"""Lanes that are told apart; further ones lie on the last."""


@dataclass(frozen=True)
class Line:
    """A line of the tree.

    Attributes:
        at: the lane that its version is in.
        above, below: whether that lane comes from above, and goes on below.
        passing: lanes that go by.
        joining: lanes from above that end in this version: other versions that build on it.
    """

    id: str
    at: int
    above: bool
    below: bool
    passing: tuple[int, ...]
    joining: tuple[int, ...]

    @property
    def width(self) -> int:
        """Of its picture, in pixels."""
        return max(map(x_of, (self.at, *self.passing, *self.joining))) + _FIRST


def x_of(lane: int) -> int:
    """Where a lane is, in pixels."""
    return _FIRST + _APART * min(lane, _MOST - 1)


def lines(parents: Sequence[tuple[str, str]]) -> list[Line]:
    """The lines of versions given as (id, id of what it builds on), oldest first; the base is the last line."""
    known = {id for id, _ in parents}
    waits: list[str | None] = []  # Of each lane, which version it leads down to.
    drawn = []
    for id, parent in [*reversed(parents), (BASE, "")]:
        mine = [lane for lane, awaited in enumerate(waits) if awaited == id]
        passing = tuple(lane for lane, awaited in enumerate(waits) if awaited not in (None, id))
        at = mine[0] if mine else next((lane for lane, awaited in enumerate(waits) if awaited is None), len(waits))
        if at == len(waits):
            waits.append(None)
        for lane in mine:
            waits[lane] = None
        if id != BASE:
            waits[at] = parent if parent in known else BASE
        drawn.append(Line(id, at, bool(mine), id != BASE, passing, tuple(mine[1:])))
    return drawn
