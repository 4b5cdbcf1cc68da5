"""Which tokens of a forward pass belong to which sequence and to which adapter.

A forward pass runs on packed tokens `[1, T]`: sequences laid end to end, no padding, position ids restarting at
each. A `Layout` says where each sequence lies and which adapter slot it runs under. The wrapped layers and the
registered attention read the active layout, so no model code is forked and no keyword has to travel through it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from selfedit.multilora.cache import RowCache


@dataclass(frozen=True)
class Span:
    """Tokens `start` up to `stop` of the packed axis, all under adapter `slot`."""

    slot: int
    start: int
    stop: int


@dataclass(frozen=True)
class Layout:
    """The sequences of one forward pass, in packed order.

    Args:
        lengths: tokens of each sequence in this pass.
        slots: the adapter slot of each sequence; None runs the bare base model.
        cache: where keys and values are kept; None while training.
        rows: for a prefill, the cache rows that each sequence is written to (several may share one prompt).
        decode: whether every live row of the cache, in order, brings its one newest token.
    """

    lengths: tuple[int, ...]
    slots: tuple[int | None, ...]
    cache: RowCache | None = None
    rows: tuple[tuple[int, ...], ...] = ()
    decode: bool = False

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """The runs of neighbouring sequences that share an adapter, without those that have none."""
        spans: list[Span] = []
        start = 0
        for slot, group in groupby(zip(self.slots, self.lengths, strict=True), key=lambda pair: pair[0]):
            stop = start + sum(length for _, length in group)
            if slot is not None:
                spans.append(Span(slot, start, stop))
            start = stop
        return tuple(spans)


_active: ContextVar[Layout | None] = ContextVar("selfedit_layout", default=None)


def active_layout() -> Layout | None:
    """The layout of the forward pass under way, or None outside of one."""
    return _active.get()


@contextmanager
def use_layout(layout: Layout) -> Iterator[None]:
    """Make `layout` the active one for the forward passes inside the block."""
    token = _active.set(layout)
    try:
        yield
    finally:
        _active.reset(token)


def packed_positions(lengths: Sequence[int], starts: Sequence[int] | None = None) -> torch.Tensor:
    """Position ids `[1, T]` that restart at each sequence, at `starts` where given."""
    starts = starts or [0] * len(lengths)
    return torch.cat([torch.arange(s, s + n) for n, s in zip(lengths, starts, strict=True)])[None]
