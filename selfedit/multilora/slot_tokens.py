"""Moves token rows between packed order and the order in which products of stacked adapters take them."""

from __future__ import annotations

import weakref

import torch

# On a CPU a slot with so many rows is a product of its own: a view of them costs nothing, while lining several slots
# up copies the rows and multiplies the gaps. Fewer rows are not worth a call each.
_ALONE_ON_CPU = 16
# Elsewhere slots share a product as long as the shortest has this share of the longest's rows.
_LIKE = 0.5


class SlotTokens:
    """The token rows of the adapter slots in use, in groups of slots that are multiplied together.

    Args:
        rows_by_slot: the packed rows of each slot, ascending.
        overwrite: whether products replace the entries of a stack that they are meant for, not add to them.
    """

    def __init__(self, rows_by_slot: dict[int, list[int]], device: torch.device, overwrite: bool = False) -> None:
        by_length = sorted(rows_by_slot, key=lambda slot: -len(rows_by_slot[slot]))
        parts: list[list[int]] = []
        for slot in by_length:
            length = len(rows_by_slot[slot])
            is_alone = device.type == "cpu" and length >= _ALONE_ON_CPU
            if not parts or is_alone or length < _LIKE * len(rows_by_slot[parts[-1][0]]):
                parts.append([])
            parts[-1].append(slot)
        self.groups = tuple(SlotGroup({slot: rows_by_slot[slot] for slot in sorted(part)}, device) for part in parts)
        self.overwrite = overwrite
        # A strong reference would close a circle through the autograd graph, which Python cannot collect.
        self._inputs: tuple[weakref.ref[torch.Tensor], list[torch.Tensor]] | None = None

    def line_up_inputs(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Each group's rows of a layer's input, without gradient; once for layers that share it, as q, k and v do."""
        if self._inputs is None or self._inputs[0]() is not x:
            packed = x.detach().reshape(-1, x.shape[-1])
            self._inputs = (weakref.ref(x), [group.line_up(packed) for group in self.groups])
        return self._inputs[1]


class SlotGroup:
    """Slots whose rows are lined up to the same number: S slots, and L rows of the one that has most.

    The others have gaps at their end. Slots in a run and rows in a run are sliced, not gathered.
    """

    def __init__(self, rows_by_slot: dict[int, list[int]], device: torch.device) -> None:
        slots = list(rows_by_slot)
        longest = max(map(len, rows_by_slot.values()))
        lined_up = [row for rows in rows_by_slot.values() for row in rows + [-1] * (longest - len(rows))]
        self._shape = (len(slots), longest)
        self._slots: slice | torch.Tensor = (
            slice(slots[0], slots[-1] + 1) if _is_run(slots) else torch.tensor(slots, device=device)
        )
        self._run = slice(lined_up[0], lined_up[-1] + 1) if _is_run(lined_up) else None
        rows = torch.tensor(lined_up)
        self._gaps = (rows < 0).nonzero()[:, 0].to(device)
        places = (rows >= 0).nonzero()[:, 0]
        self._places, self._rows = places.to(device), rows[places].to(device)
        self._rows_or_first = rows.clamp(min=0).to(device)

    def pick(self, stacked_N: torch.Tensor) -> torch.Tensor:
        """The entries of these slots, `[S, ..]` of `[N, ..]`."""
        return stacked_N[self._slots]

    def line_up(self, packed_TD: torch.Tensor, zero_gaps: bool = False) -> torch.Tensor:
        """These slots' rows `[S, L, D]`. Gaps hold some other row unless they are to be zero."""
        if self._run is not None:
            return packed_TD[self._run].view(*self._shape, -1)
        lined_up = packed_TD.index_select(0, self._rows_or_first)
        if zero_gaps and len(self._gaps):
            lined_up[self._gaps] = 0
        return lined_up.view(*self._shape, -1)

    def add_back(self, packed_TD: torch.Tensor, left_SLR: torch.Tensor, right_SRD: torch.Tensor) -> None:
        """Add a batched product to these slots' packed rows; gaps are dropped."""
        if self._run is not None:
            packed_TD[self._run].view(*self._shape, -1).baddbmm_(left_SLR, right_SRD)
            return
        product = torch.bmm(left_SLR, right_SRD).flatten(0, 1)
        packed_TD.index_add_(0, self._rows, product.index_select(0, self._places) if len(self._gaps) else product)

    def put_product(
        self, stacked_NXY: torch.Tensor, left_SXL: torch.Tensor, right_SLY: torch.Tensor, overwrite: bool
    ) -> None:
        """Add a batched product to the entries of these slots, or replace them by it, in their precision."""
        if isinstance(self._slots, slice) and left_SXL.dtype == stacked_NXY.dtype:
            entries = stacked_NXY[self._slots]
            if overwrite:
                torch.bmm(left_SXL, right_SLY, out=entries)
            else:
                entries.baddbmm_(left_SXL, right_SLY)
            return
        product = torch.bmm(left_SXL, right_SLY).to(stacked_NXY.dtype)
        if overwrite:
            stacked_NXY[self._slots] = product
        elif isinstance(self._slots, slice):
            stacked_NXY[self._slots] += product
        else:
            stacked_NXY.index_add_(0, self._slots, product)


def _is_run(numbers: list[int]) -> bool:
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))
