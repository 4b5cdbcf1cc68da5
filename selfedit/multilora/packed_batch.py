"""Which tokens of a forward pass belong to which sequence and to which adapter.

A forward pass runs on packed tokens `[1, T]`: sequences laid end to end, no padding, position ids restarting at
each. A `PackedBatch` says where each sequence lies and which adapter slot it runs under. The wrapped layers and the
registered attention read the active batch, so no model code is forked and no keyword has to travel through it.
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

from selfedit.multilora.slot_tokens import SlotTokens

if TYPE_CHECKING:
    from selfedit.multilora.kv_cache import KVCache


class SequenceDropout:
    """Hides a share `p` of each layer's input from one sequence's adapter, by random numbers of its own.

    The draws depend on `seed` and on the order of the layers alone, so neighbours change nothing.
    """

    def __init__(self, p: float, seed: int) -> None:
        self.p = p
        self._generator = torch.Generator().manual_seed(seed)

    def mask(self, length: int, width: int) -> torch.Tensor:
        """The next layer's factors `[length, width]`: 0, or 1 / (1 - p)."""
        kept = torch.rand(length, width, generator=self._generator) >= self.p
        return kept.float() / (1 - self.p)


@dataclass(frozen=True)
class PackedBatch:
    """The sequences of one forward pass, in packed order.

    Args:
        lengths: tokens of each sequence in this pass.
        slots: the adapter slot of each sequence; None runs the bare base model.
        device: where the model is.
        cache: where keys and values are kept; None while training.
        rows: for a prefill, the cache rows that each sequence is written to (several may share one prompt).
        decode: whether every live row of the cache, in order, brings its one newest token.
        overwrite: whether the gradients of this pass replace those in the slots' buffers, not add to them.
        dropouts: of each sequence; none at all if empty.
        stride: 0 for packed rows; else sequence i starts at row i * stride and the rows behind it are padding.
        parents: the sequence before each that it goes on from, and all of whose tokens it sees; None, or none at all
            if empty, where it begins by itself. See `Layout`.
        pasts: for a prefill, how many positions of each sequence the cache has already, in the first of its rows; none
            at all if empty.
    """

    lengths: tuple[int, ...]
    slots: tuple[int | None, ...]
    device: torch.device
    cache: KVCache | None = None
    rows: tuple[tuple[int, ...], ...] = ()
    decode: bool = False
    overwrite: bool = False
    dropouts: tuple[SequenceDropout | None, ...] = ()
    stride: int = 0
    parents: tuple[int | None, ...] = ()
    pasts: tuple[int, ...] = ()

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """The position at which each sequence begins: 0, or where what it goes on from ends."""
        parents = self.parents or (None,) * len(self.lengths)
        pasts = self.pasts or (0,) * len(self.lengths)
        return tuple(past if p is None else self.lengths[p] for p, past in zip(parents, pasts, strict=True))

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The first row of each sequence."""
        if self.stride:
            return tuple(i * self.stride for i in range(len(self.lengths)))
        return tuple(accumulate(self.lengths, initial=0))[:-1]

    @cached_property
    def slot_tokens(self) -> SlotTokens | None:
        """The token rows of each adapter slot; None if no sequence has one."""
        rows_by_slot: dict[int, list[int]] = {}
        for slot, start, length in zip(self.slots, self.starts, self.lengths, strict=True):
            if slot is not None:
                rows_by_slot.setdefault(slot, []).extend(range(start, start + length))
        return SlotTokens(rows_by_slot, self.device, self.overwrite) if rows_by_slot else None

    @cached_property
    def sequence_groups(self) -> tuple[SequenceGroup, ...]:
        """The sequences in groups of like length, so that attention is a few batched products, not one each."""
        groups: list[list[int]] = []
        for index in sorted(range(len(self.lengths)), key=lambda i: -self.lengths[i]):
            # At most half of a group's rows are gaps, and a group of one has none.
            if not groups or 2 * self.lengths[index] < self.lengths[groups[-1][0]]:
                groups.append([])
            groups[-1].append(index)
        return tuple(
            SequenceGroup([self.starts[i] for i in group], [self.lengths[i] for i in group], self.device)
            for group in groups
        )

    def drop(self, x_TI: torch.Tensor) -> torch.Tensor:
        """What the adapters see of a layer's input, where any has dropout."""
        if not any(self.dropouts):
            return x_TI
        mask_TI = torch.ones_like(x_TI)
        for dropout, start, length in zip(self.dropouts, self.starts, self.lengths, strict=True):
            if dropout is not None:
                mask_TI[start : start + length] = dropout.mask(length, x_TI.shape[-1]).to(mask_TI)
        return x_TI * mask_TI


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


_active: ContextVar[PackedBatch | None] = ContextVar("selfedit_batch", default=None)


def active_batch() -> PackedBatch | None:
    """The batch of the forward pass under way, or None outside of one."""
    return _active.get()


@contextmanager
def use_batch(batch: PackedBatch) -> Iterator[None]:
    """Make `batch` the active one for the forward passes inside the block."""
    token = _active.set(batch)
    try:
        yield
    finally:
        _active.reset(token)


def packed_positions(lengths: Sequence[int], starts: Sequence[int] | None = None) -> torch.Tensor:
    """Position ids `[1, T]` that restart at each sequence, at `starts` where given."""
    starts = starts or [0] * len(lengths)
    return torch.cat([torch.arange(s, s + n) for n, s in zip(lengths, starts, strict=True)])[None]
