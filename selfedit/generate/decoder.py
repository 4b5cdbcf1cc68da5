"""The decode loop: rows enter and leave at any step, and each step gives every live row a token."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import accumulate

import torch

from selfedit.generate.row import Row
from selfedit.multilora.kv_cache import KVCache
from selfedit.multilora.model import MultiLoraModel

_LET_IN = 4
"""Rows wait until this part of all is free: what they begin with alike is then read once for several."""


class Decoder:
    """Prefills waiting rows where there is room and decodes the live ones, one token a step.

    Args:
        multi: what runs them, each row under the adapter in its slot. It may be exchanged between two steps.
        token_budget: prompt tokens of one prefill; a longer prompt has one of its own.
    """

    def __init__(self, multi: MultiLoraModel, cache: KVCache, token_budget: int) -> None:
        self.multi, self.cache, self._token_budget = multi, cache, token_budget
        self.waiting: deque[Row] = deque()
        self.live: list[Row] = []

    @property
    def rows(self) -> int:
        """How many rows there are, live ones and waiting ones."""
        return len(self.waiting) + len(self.live)

    def add(self, rows: Iterable[Row]) -> None:
        """Let rows wait for room. Those that begin alike should come one after another: they are let in together."""
        self.waiting.extend(rows)

    @torch.no_grad()
    def step(self) -> list[Row]:
        """Give a token to rows that are let in or, if none are, to the live ones; return those that got one."""
        room = self.cache.max_rows - len(self.live)
        if self.waiting and room >= min(len(self.waiting), max(1, self.cache.max_rows // _LET_IN)):
            logits = self._prefill()
        elif self.live:
            logits = self._decode()
        else:
            return []
        for row, logits_V in logits:
            row.pick(logits_V)
        return [row for row, _ in logits]

    def drop(self, rows: Iterable[Row]) -> None:
        """Take rows out, ended or not; their places are free at once."""
        gone = set(rows)
        self.waiting = deque(row for row in self.waiting if row not in gone)
        stay = [position for position, row in enumerate(self.live) if row not in gone]
        if len(stay) < len(self.live):
            self.live = [self.live[position] for position in self.cache.keep(stay)]

    def _prefill(self) -> list[tuple[Row, torch.Tensor]]:
        """Let waiting rows in, each distinct prompt computed once."""
        entering: dict[tuple[int | None, tuple[int, ...]], list[Row]] = {}
        cache_rows: dict[tuple[int | None, tuple[int, ...]], list[int]] = {}
        room = self._token_budget
        while self.waiting and len(self.cache.lengths) < self.cache.max_rows:
            key = self.waiting[0].prompt_key
            if key not in entering:
                if entering and len(key[1]) > room:
                    break
                room -= len(key[1])
            row = self.waiting.popleft()
            entering.setdefault(key, []).append(row)
            cache_rows.setdefault(key, []).append(self.cache.add(len(key[1])))
            self.live.append(row)
        layout = self.multi.lay_out([prompt for _, prompt in entering], [slot for slot, _ in entering])
        rows_of = list(cache_rows.values())
        rows = [[row for prompt in members for row in rows_of[prompt]] for members in layout.members()]
        batch = self.multi.batch(layout.lengths, layout.slots, self.cache, rows, parents=layout.parents)
        hidden_TH = self.multi.hidden_states(layout.tokens, batch)
        last = torch.tensor(list(accumulate(layout.lengths)))[list(layout.ends)] - 1
        logits_PV = self.multi.logits(hidden_TH[last.to(hidden_TH.device)]).cpu()
        return [(row, logits_PV[i]) for i, rows in enumerate(entering.values()) for row in rows]

    def _decode(self) -> list[tuple[Row, torch.Tensor]]:
        starts = list(self.cache.lengths)
        self.cache.grow()
        batch = self.multi.batch([1] * len(self.live), [row.slot for row in self.live], self.cache, decode=True)
        hidden_BH = self.multi.hidden_states([row.tokens[-1] for row in self.live], batch, starts)
        return list(zip(self.live, self.multi.logits(hidden_BH).cpu(), strict=True))
