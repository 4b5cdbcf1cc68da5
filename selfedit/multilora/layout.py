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
from itertools import accumulate
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from selfedit.multilora.cache import RowCache


@dataclass(frozen=True)
class Layout:
    """The sequences of one forward pass, in packed order.

    Args:
        lengths: tokens of each sequence in this pass.
        slots: the adapter slot of each sequence; None runs the bare base model.
        device: where the model is.
        cache: where keys and values are kept; None while training.
        rows: for a prefill, the cache rows that each sequence is written to (several may share one prompt).
        decode: whether every live row of the cache, in order, brings its one newest token.
        overwrite: whether the gradients of this pass replace those in the slots' buffers, not add to them.
    """

    lengths: tuple[int, ...]
    slots: tuple[int | None, ...]
    device: torch.device
    cache: RowCache | None = None
    rows: tuple[tuple[int, ...], ...] = ()
    decode: bool = False
    overwrite: bool = False

    @cached_property
    def adapter_rows(self) -> AdapterRows | None:
        """The token rows of each adapter slot; None if no sequence has one."""
        rows_by_slot: dict[int, list[int]] = {}
        start = 0
        for slot, length in zip(self.slots, self.lengths, strict=True):
            if slot is not None:
                rows_by_slot.setdefault(slot, []).extend(range(start, start + length))
            start += length
        return AdapterRows(rows_by_slot, start, self.device, self.overwrite) if rows_by_slot else None

    @cached_property
    def sequence_groups(self) -> tuple[SequenceGroup, ...]:
        """The sequences in groups of like length, so that attention is a few batched products, not one each."""
        starts = [0, *accumulate(self.lengths)]
        groups: list[list[int]] = []
        for index in sorted(range(len(self.lengths)), key=lambda i: -self.lengths[i]):
            # At most half of a group's rows are gaps, and a group of one has none.
            if not groups or 2 * self.lengths[index] < self.lengths[groups[-1][0]]:
                groups.append([])
            groups[-1].append(index)
        return tuple(
            SequenceGroup([starts[i] for i in group], [self.lengths[i] for i in group], self.device) for group in groups
        )


class SequenceGroup:
    """Sequences right-padded to the longest of them. Causal attention never looks at the gaps.

    Attributes:
        padded_SL: the packed row of each position; gaps repeat the sequence's first row.
        valid: the flat positions that are no gaps, and `packed` the packed row of each.
    """

    def __init__(self, starts: list[int], lengths: list[int], device: torch.device) -> None:
        self.longest = max(lengths)
        offsets_L = torch.arange(self.longest)
        starts_S1, lengths_S1 = torch.tensor(starts)[:, None], torch.tensor(lengths)[:, None]
        is_valid_SL = offsets_L < lengths_S1
        self.padded_SL = (starts_S1 + offsets_L * is_valid_SL).to(device)
        self.valid = is_valid_SL.flatten().nonzero()[:, 0].to(device)
        self.packed = self.padded_SL.flatten()[self.valid]


class AdapterRows:
    """Moves token rows between packed order `[T, ..]` and lined-up order `[S, L, ..]`.

    S counts the slots in use and L the rows of the one that has most; the others have gaps at their end.
    """

    def __init__(
        self, rows_by_slot: dict[int, list[int]], total: int, device: torch.device, overwrite: bool = False
    ) -> None:
        self._overwrite = overwrite
        self._inputs: tuple[torch.Tensor, torch.Tensor] | None = None
        slots = sorted(rows_by_slot)
        longest = max(len(rows) for rows in rows_by_slot.values())
        lined_up = [row for slot in slots for row in rows_by_slot[slot] + [-1] * (longest - len(rows_by_slot[slot]))]
        self._shape = (len(slots), longest)
        # A run of slots is sliced and rows already lined up are viewed: both spare a copy at every layer.
        is_run = slots == list(range(slots[0], slots[-1] + 1))
        self._slots: slice | torch.Tensor = (
            slice(slots[0], slots[-1] + 1) if is_run else torch.tensor(slots, device=device)
        )
        self._aligned = lined_up == list(range(total))
        rows = torch.tensor(lined_up)
        self._gaps = (rows < 0).nonzero()[:, 0].to(device)
        places = (rows >= 0).nonzero()[:, 0]
        self._places, self._rows = places.to(device), rows[places].to(device)
        self._rows_or_first = rows.clamp(min=0).to(device)

    def pick(self, stacked_N: torch.Tensor) -> torch.Tensor:
        """The entries of the slots in use, `[S, ..]` of `[N, ..]`."""
        return stacked_N[self._slots]

    def line_up(self, packed_TD: torch.Tensor, zero_gaps: bool = False) -> torch.Tensor:
        """Rows in lined-up order `[S, L, D]`. Gaps hold some other row unless they are to be zero."""
        if self._aligned:
            return packed_TD.view(*self._shape, -1)
        lined_up = packed_TD.index_select(0, self._rows_or_first)
        if zero_gaps and len(self._gaps):
            lined_up[self._gaps] = 0
        return lined_up.view(*self._shape, -1)

    def line_up_inputs(self, x: torch.Tensor) -> torch.Tensor:
        """`line_up` of a layer's input, without gradient; once for layers that share it, as q, k and v do."""
        if self._inputs is None or self._inputs[0] is not x:
            self._inputs = (x, self.line_up(x.detach().reshape(-1, x.shape[-1])))
        return self._inputs[1]

    def add_back(self, packed_TD: torch.Tensor, lined_up_SLD: torch.Tensor) -> None:
        """Add lined-up rows to their packed places; gaps are dropped."""
        flat = lined_up_SLD.flatten(0, 1)
        if self._aligned:
            packed_TD += flat
        else:
            packed_TD.index_add_(0, self._rows, flat.index_select(0, self._places) if len(self._gaps) else flat)

    def add_product(self, stacked_NXY: torch.Tensor, left_SXL: torch.Tensor, right_SLY: torch.Tensor) -> None:
        """Add a batched product to the entries of the slots in use, or replace them by it, in their precision."""
        is_alike = left_SXL.dtype == stacked_NXY.dtype
        if isinstance(self._slots, slice) and is_alike:
            entries = stacked_NXY[self._slots]
            if self._overwrite:
                torch.bmm(left_SXL, right_SLY, out=entries)
            else:
                entries.baddbmm_(left_SXL, right_SLY)
            return
        product = torch.bmm(left_SXL, right_SLY).to(stacked_NXY.dtype)
        if self._overwrite:
            stacked_NXY[self._slots] = product
        elif isinstance(self._slots, slice):
            stacked_NXY[self._slots] += product
        else:
            stacked_NXY.index_add_(0, self._slots, product)


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
