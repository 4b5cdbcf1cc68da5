"""How sequences are laid out in a pass: what several of one slot begin with is computed once.

Questions about one passage differ in their last few tokens, and so do the pairs that an adapter is trained on: the
system's message, the topic and the passage before them are the same. A token sees only what stands before it, so that
one computation of such a beginning serves all that go on from it, forward and backward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

LEAST_SHARED = 8
"""Tokens saved by a beginning below which it costs more than it saves: it is one more sequence for each layer."""


@dataclass(frozen=True)
class Layout:
    """N sequences as M pieces in packed order: each whole, or a beginning that several share, or the rest of one.

    Attributes:
        tokens: of all pieces, one after another.
        lengths, slots: of each piece.
        parents: the piece that each goes on from, which stands before it; None where it begins a sequence.
        ends: the piece with which each sequence ends, [N].
    """

    tokens: tuple[int, ...]
    lengths: tuple[int, ...]
    slots: tuple[int | None, ...]
    parents: tuple[int | None, ...]
    ends: tuple[int, ...]

    def rows(self, sequence: int) -> list[int]:
        """The packed row of each token of a sequence."""
        starts = tuple(accumulate(self.lengths, initial=0))
        own = self.ends[sequence]
        pieces = (own,) if (parent := self.parents[own]) is None else (parent, own)
        return [row for piece in pieces for row in range(starts[piece], starts[piece + 1])]

    def members(self) -> list[list[int]]:
        """For each piece, the sequences that it is part of."""
        members: list[list[int]] = [[] for _ in self.lengths]
        for sequence, own in enumerate(self.ends):
            members[own].append(sequence)
            if (parent := self.parents[own]) is not None:
                members[parent].append(sequence)
        return members


def lay_out(sequences: Sequence[Sequence[int]], slots: Sequence[int | None], share: bool = True) -> Layout:
    """Sequences side by side, those that share a beginning behind it; all as they are if not `share`."""
    tokens: list[int] = []
    lengths: list[int] = []
    slots_M: list[int | None] = []
    parents: list[int | None] = []
    ends = [0] * len(sequences)

    def add(piece: Sequence[int], slot: int | None, parent: int | None) -> int:
        tokens.extend(piece)
        lengths.append(len(piece))
        slots_M.append(slot)
        parents.append(parent)
        return len(lengths) - 1

    groups = _groups(sequences, slots) if share else [([i], 0) for i in range(len(sequences))]
    for group, common in groups:
        first = group[0]
        parent = add(sequences[first][:common], slots[first], None) if common else None
        for i in group:
            ends[i] = add(sequences[i][common:], slots[i], parent)
    return Layout(tuple(tokens), tuple(lengths), tuple(slots_M), tuple(parents), tuple(ends))


def _groups(sequences: Sequence[Sequence[int]], slots: Sequence[int | None]) -> list[tuple[list[int], int]]:
    """Sequences that begin alike, with how many tokens they share; in the order of the first of each group.

    Neighbours in alphabetical order share most. Each joins the group before it where that saves more than it costs
    the others, whose shared beginning may become shorter.
    """
    order = sorted(range(len(sequences)), key=lambda i: (slots[i] is not None, slots[i] or 0, tuple(sequences[i])))
    groups: list[tuple[list[int], int]] = []
    for i in order:
        if groups:
            group, common = groups[-1]
            shared = (
                min(common, shared_beginning(sequences[group[-1]], sequences[i])) if slots[group[-1]] == slots[i] else 0
            )
            if len(group) * shared >= max(LEAST_SHARED, (len(group) - 1) * common):
                groups[-1] = ([*group, i], shared)
                continue
        # Each keeps a token of its own: what follows a sequence is read off its last one.
        groups.append(([i], len(sequences[i]) - 1))
    kept = [(sorted(group), common if len(group) > 1 else 0) for group, common in groups]
    return sorted(kept, key=lambda pair: pair[0][0])


def shared_beginning(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike, at most one less than either has."""
    limit = min(len(one), len(other)) - 1
    return next((n for n in range(limit) if one[n] != other[n]), limit)
