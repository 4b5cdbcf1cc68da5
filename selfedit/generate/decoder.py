"""The decode loop: rows enter and leave at any step, and each step gives every live row a token."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

import torch

from selfedit.generate.row import Row
from selfedit.multilora.kv_cache import KVCache
from selfedit.multilora.layout import LEAST_SHARED, shared_beginning
from selfedit.multilora.model import MultiLoraModel

_LET_IN = 4
"""Rows wait until this part of all is free: what they begin with alike is then read once for several."""


class Decoder:
    """Prefills waiting rows where there is room and decodes the live ones, one token a step.

    Args:
        multi: what runs them, each row under the adapter in its slot. It may be exchanged between two steps.
        token_budget: prompt tokens of one prefill; a longer prompt has one of its own.
        continuous: whether rows come while others are live. These then get a token between two prefills, a prompt that
            is longer than the budget is read in pieces, and what a live row under the same adapter begins with alike is
            copied from it. A model whose sequences cannot be packed reads each prompt whole.
    """

    def __init__(self, multi: MultiLoraModel, cache: KVCache, token_budget: int, continuous: bool = False) -> None:
        self.multi, self.cache, self._token_budget, self._continuous = multi, cache, token_budget, continuous
        self.waiting: deque[Row] = deque()
        self.live: list[Row] = []
        self._reading: _Prompt | None = None
        self._live_wait = False  # Whether the last pass was a prefill.

    @property
    def inside(self) -> list[Row]:
        """All rows: live ones, those whose prompt is being read, and waiting ones."""
        return [*self.live, *(self._reading.rows if self._reading else ()), *self.waiting]

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.inside)

    def add(self, rows: Iterable[Row]) -> None:
        """Let rows wait for room. Those that begin alike should come one after another: they are let in together."""
        self.waiting.extend(rows)

    @torch.no_grad()
    def step(self) -> list[Row]:
        """Run one pass. It gives a token to rows whose prompts it read or, if it read none, to the live ones.

        Returns those that got one: none of them where a piece of a long prompt was read.
        """
        if self._can_read() and not (self._continuous and self._live_wait and self.live):
            logits = self._prefill()
            self._live_wait = True
        elif self.live:
            logits = self._decode()
            self._live_wait = False
        else:
            return []
        for row, logits_V in logits:
            row.pick(logits_V)
        return [row for row, _ in logits]

    def drop(self, rows: Iterable[Row]) -> None:
        """Take rows out, ended or not; their places are free at once."""
        gone = set(rows)
        self.waiting = deque(row for row in self.waiting if row not in gone)
        if self._reading is not None:
            self._reading.rows = [row for row in self._reading.rows if row not in gone]
            if not self._reading.rows:
                self._reading = None
        stay = [position for position, row in enumerate(self.live) if row not in gone]
        if len(stay) < len(self.live):
            self.live = [self.live[position] for position in self.cache.keep(stay)]

    def _can_read(self) -> bool:
        room = self.cache.max_rows - len(self.live)
        enough = min(len(self.waiting), max(1, self.cache.max_rows // _LET_IN))
        return self._reading is not None or (bool(self.waiting) and room >= enough)

    def _prefill(self) -> list[tuple[Row, torch.Tensor]]:
        if self._reading is None:
            prompts = self._next_prompts()
            (first, *_) = prompts
            if not self._continuous or not self.multi.packed or first.left <= self._token_budget:
                return self._read_whole(prompts)
            self._reading = first
        return self._read_piece(self._reading)

    def _next_prompts(self) -> list[_Prompt]:
        """Waiting rows by their prompts, as many as have room in a pass; at least one prompt, however long."""
        prompts: dict[tuple[int | None, tuple[int, ...]], _Prompt] = {}
        room, places = self._token_budget, self.cache.max_rows - len(self.live)
        while self.waiting and places:
            key = self.waiting[0].prompt_key
            if key not in prompts:
                prompt = _Prompt(*key)
                if self._continuous and self.multi.shares_beginnings:
                    self._find_beginning(prompt)
                if prompts and prompt.left > room:
                    break
                room -= prompt.left
                prompts[key] = prompt
            prompts[key].rows.append(self.waiting.popleft())
            places -= 1
        return list(prompts.values())

    def _find_beginning(self, prompt: _Prompt) -> None:
        """Go on from the live row under the same adapter that shares most with a prompt, if that saves something."""
        same = ((i, row.request.prompt) for i, row in enumerate(self.live) if row.slot == prompt.slot)
        shared, place = max(((shared_beginning(tokens, prompt.tokens), i) for i, tokens in same), default=(0, 0))
        if shared >= LEAST_SHARED:
            prompt.past, prompt.source = shared, place

    def _let_in(self, prompt: _Prompt) -> list[int]:
        """Make a prompt's rows live; return their places in the cache."""
        self.live.extend(prompt.rows)
        return [self.cache.add(len(prompt.tokens)) for _ in prompt.rows]

    def _read_whole(self, prompts: list[_Prompt]) -> list[tuple[Row, torch.Tensor]]:
        """Read prompts to their ends, each once, and what those that are read from their beginnings begin with once."""
        fresh = [prompt for prompt in prompts if not prompt.past]
        going_on = [prompt for prompt in prompts if prompt.past]
        layout = self.multi.lay_out([prompt.tokens for prompt in fresh], [prompt.slot for prompt in fresh])
        places = [self._let_in(prompt) for prompt in fresh]
        rows = [[place for prompt in members for place in places[prompt]] for members in layout.members()]
        for prompt in going_on:
            rows.append(own := self._let_in(prompt))
            self.cache.copy(self.cache, prompt.source, prompt.past, own)
        lengths = [*layout.lengths, *(prompt.left for prompt in going_on)]
        slots = [*layout.slots, *(prompt.slot for prompt in going_on)]
        none = (None,) * len(going_on)
        pasts = (*(0 for _ in layout.lengths), *(prompt.past for prompt in going_on))
        batch = self.multi.batch(lengths, slots, self.cache, rows, parents=(*layout.parents, *none), pasts=pasts)
        tokens = [*layout.tokens, *(token for prompt in going_on for token in prompt.tokens[prompt.past :])]
        hidden_TH = self.multi.hidden_states(tokens, batch)
        ends = [*layout.ends, *range(len(layout.lengths), len(lengths))]
        last = torch.tensor(list(accumulate(lengths)))[ends] - 1
        logits_PV = self.multi.logits(hidden_TH[last.to(hidden_TH.device)]).cpu()
        return [(row, logits_PV[i]) for i, prompt in enumerate([*fresh, *going_on]) for row in prompt.rows]

    def _read_piece(self, prompt: _Prompt) -> list[tuple[Row, torch.Tensor]]:
        """Read more of a long prompt; its rows are let in with the last of it."""
        if prompt.cache is None:
            prompt.cache = KVCache(1, len(prompt.tokens))
            if prompt.past:
                prompt.cache.copy(self.cache, prompt.source, prompt.past, [0])
        piece = prompt.tokens[prompt.past : prompt.past + self._token_budget]
        batch = self.multi.batch([len(piece)], [prompt.slot], prompt.cache, [[0]], pasts=(prompt.past,))
        hidden_TH = self.multi.hidden_states(piece, batch)
        prompt.past += len(piece)
        if prompt.left:
            return []
        self._reading = None
        self.cache.copy(prompt.cache, 0, len(prompt.tokens), self._let_in(prompt))
        logits_V = self.multi.logits(hidden_TH[-1:])[0].cpu()
        return [(row, logits_V) for row in prompt.rows]

    def _decode(self) -> list[tuple[Row, torch.Tensor]]:
        starts = list(self.cache.lengths)
        self.cache.grow()
        batch = self.multi.batch([1] * len(self.live), [row.slot for row in self.live], self.cache, decode=True)
        hidden_BH = self.multi.hidden_states([row.tokens[-1] for row in self.live], batch, starts)
        return list(zip(self.live, self.multi.logits(hidden_BH).cpu(), strict=True))


@dataclass
class _Prompt:
    """A prompt that is being read for all rows that share it.

    Attributes:
        past: how many of its tokens are read.
        source: the live row whose first `past` tokens those are, when its reading begins.
        cache: where its keys and values are while it is read in pieces.
    """

    slot: int | None
    tokens: tuple[int, ...]
    rows: list[Row] = field(default_factory=list)
    past: int = 0
    source: int = 0
    cache: KVCache | None = None

    @property
    def left(self) -> int:
        """How many tokens are still to be read."""
        return len(self.tokens) - self.past
