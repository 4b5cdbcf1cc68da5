"""Keys and values of sequences that are being decoded, one row a sequence, each from position 0."""

from __future__ import annotations

from collections.abc import Sequence

import torch

_BLOCK = 64
"""Rows grow by so many positions."""


class KVCache:
    """Per layer, keys and values `[rows, kv_heads, capacity, head_dim]`; row i holds `lengths[i]` positions.

    Rows need no common padding, so a sequence may enter or leave at any step. Live rows are always the first
    ones: decoding reads a slice instead of a gather.

    Args:
        max_rows: the most rows there may be.
        capacity: positions of a row.
        rows: how many have memory at first, by default all; `reserve` makes room for more.
    """

    def __init__(self, max_rows: int, capacity: int, rows: int | None = None) -> None:
        self.max_rows, self.capacity = max_rows, capacity
        self._rows = max_rows if rows is None else rows
        self.lengths: list[int] = []
        self.tokens: list[list[int]] = []
        self._keys: dict[int, torch.Tensor] = {}
        self._values: dict[int, torch.Tensor] = {}

    def reserve(self, rows: int, capacity: int) -> None:
        """See that there is memory for so many rows of so many positions; what is kept stays."""
        if rows <= self._rows and capacity <= self.capacity:
            return
        # Twice as many, so that a batch that grows row by row is seldom copied.
        self._rows = self._rows if rows <= self._rows else min(self.max_rows, max(rows, 2 * self._rows))
        self.capacity = max(self.capacity, -(-capacity // _BLOCK) * _BLOCK)
        live, longest = len(self.lengths), max(self.lengths, default=0)
        for buffers in (self._keys, self._values):
            for layer, old in buffers.items():
                buffers[layer] = old.new_zeros(self._rows, old.shape[1], self.capacity, old.shape[3])
                buffers[layer][:live, :, :longest] = old[:live, :, :longest]

    def add(self, length: int) -> int:
        """Open a row for a sequence of `length` positions, which the next prefill writes. Returns the row."""
        self.lengths.append(length)
        self.tokens.append([])
        return len(self.lengths) - 1

    def grow(self) -> None:
        """Make room for one more position in every live row."""
        self.lengths = [length + 1 for length in self.lengths]

    def keep(self, rows: list[int]) -> list[int]:
        """Close all rows but these (ascending). Returns them in their new order: the last ones fill the gaps.

        Only as many rows are moved as there are gaps, since moving one copies all of its keys and values.
        """
        count = len(rows)
        late = iter([row for row in rows if row >= count])
        staying = set(rows)
        order = [row if row in staying else next(late) for row in range(count)]
        for new, old in enumerate(order):
            if new != old:
                length = self.lengths[old]
                for buffer in (*self._keys.values(), *self._values.values()):
                    buffer[new, :, :length] = buffer[old, :, :length]
        self.lengths = [self.lengths[row] for row in order]
        self.tokens = [self.tokens[row] for row in order]
        return order

    def write_tokens(self, rows: tuple[int, ...], tokens: list[int]) -> None:
        """Remember the tokens of one sequence in each of `rows`, for models whose state is not keys and values."""
        for row in rows:
            self.tokens[row] = list(tokens)

    def extend_tokens(self, tokens: list[int]) -> None:
        """Remember the newest token of every live row."""
        for row, token in zip(self.tokens, tokens, strict=True):
            row.append(token)

    def write(
        self, layer: int, rows: tuple[int, ...], start: int, key_HLD: torch.Tensor, value_HLD: torch.Tensor
    ) -> None:
        """Write one sequence into each of `rows`, from position `start` on."""
        keys, values = self._buffers(layer, key_HLD.shape[0], key_HLD, value_HLD)
        places = slice(start, start + key_HLD.shape[1])
        for row in rows:
            keys[row, :, places], values[row, :, places] = key_HLD, value_HLD

    def copy(self, source: KVCache, row: int, length: int, rows: Sequence[int]) -> None:
        """Copy the first positions of a row of this cache or another one into each of `rows`."""
        for layer in source._keys:
            self.write(layer, tuple(rows), 0, *source.row(layer, row, length))

    def row(self, layer: int, row: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values `[H, stop, D]` of the first positions of a row."""
        return self._keys[layer][row, :, :stop], self._values[layer][row, :, :stop]

    def append(
        self, layer: int, key_HBD: torch.Tensor, value_HBD: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Write the newest position of every live row (`lengths` already counts it).

        Returns keys and values `[B, H, longest, D]` and the lengths `[B]`.
        """
        keys, values = self._buffers(layer, key_HBD.shape[0], key_HBD, value_HBD)
        live, longest = len(self.lengths), max(self.lengths)
        lengths_B = torch.tensor(self.lengths, device=keys.device)
        rows_B = torch.arange(live, device=keys.device)
        keys[rows_B, :, lengths_B - 1] = key_HBD.transpose(0, 1)
        values[rows_B, :, lengths_B - 1] = value_HBD.transpose(0, 1)
        return keys[:live, :, :longest], values[:live, :, :longest], lengths_B

    def _buffers(
        self, layer: int, heads: int, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if layer not in self._keys:
            # Zeros, not empty: masked positions still enter a product with weight 0, and 0 * nan is nan.
            self._keys[layer] = key.new_zeros(self._rows, heads, self.capacity, key.shape[-1])
            self._values[layer] = value.new_zeros(self._rows, heads, self.capacity, value.shape[-1])
        return self._keys[layer], self._values[layer]
