"""Continuous batching: requests enter and leave the running batch token by token, each row under its own model."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from selfedit.generate.base import Request
from selfedit.generate.decoder import Decoder
from selfedit.generate.grammar import GrammarMaker
from selfedit.generate.row import Row
from selfedit.generate.slots import AdapterSlots
from selfedit.multilora.kv_cache import KVCache
from selfedit.multilora.merge import check_base
from selfedit.types import ModelRef

_PIECE = {"cpu": 128}
_PIECE_ELSEWHERE = 1024
"""Prompt tokens of one pass. A CPU of two cores reads 128 in half a second with the default model, and has reached its
speed by then; a GPU has not (not measured)."""

_CROWD, _LONGEST_WAIT = 8, 4
"""For each so many live rows those that come wait a step, up to so many: they are then read several in one pass, which
stops the others less often. With few rows nobody waits."""


class ContinuousBatch:
    """A batch that goes on as long as somebody asks. It runs the same loop as `BatchedGenerator`.

    Requests are let in in their order. One that has something else merged into its base waits until the batch has run
    empty, and those behind it wait, too. The model stays wrapped until `close`: nobody else may run it but in `lent`.
    Not to be used from two threads at once.

    Args:
        stop_ids: tokens that end a text.
        max_rows: sequences decoded at once.
        token_budget: prompt tokens of one prefill, the most that live rows wait for between two tokens; by default what
            suits the device.
        slots: adapters held at once.
        cache_tokens: the most positions that keys and values are kept of, counted as rows times the longest of them;
            a request that is longer runs by itself.
        base: what the model is; None takes requests for any.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        stop_ids: frozenset[int],
        max_rows: int = 64,
        token_budget: int | None = None,
        slots: int = 32,
        cache_tokens: int = 32_768,
        base: ModelRef | None = None,
    ) -> None:
        self.tokenizer, self.stop_ids, self.base = tokenizer, stop_ids, base
        self.max_rows, self._cache_tokens = max_rows, cache_tokens
        self._token_budget = token_budget or _PIECE.get(model.device.type, _PIECE_ELSEWHERE)
        self._grammars = GrammarMaker(tokenizer, stop_ids)
        self._slots = AdapterSlots(model, slots)
        self._waiting: deque[Row] = deque()
        self._decoder = self._empty_decoder()
        self._steps = 0  # Since a row was let in.

    @property
    def waiting(self) -> int:
        """How many requests are not yet let in."""
        return len(self._waiting)

    @property
    def rows(self) -> int:
        """How many are let in."""
        return self._decoder.rows

    def add(self, request: Request, streams: bool = False) -> Row:
        """Let a request wait for its turn.

        Raises:
            ValueError: the prompt is empty, or the model is over another base.
        """
        if not request.prompt:
            raise ValueError("a prompt is empty")
        check_base([request.model], self.base)
        row = Row(request, self._grammars.of(request), streams=streams)
        self._waiting.append(row)
        return row

    def cancel(self, row: Row) -> None:
        """Take a request out, wherever it is; its place is free at once. Nothing happens if it has ended."""
        if row in self._waiting:
            self._waiting.remove(row)
        else:
            self._leave([row])

    def step(self) -> list[tuple[Row, str]]:
        """Let in what there is room for, and give a token to each row whose turn it is.

        Returns those rows with the text that came with it where they stream; `completion` is set in those that ended.
        """
        self._steps += 1
        if self._steps > min(_LONGEST_WAIT, len(self._decoder.live) // _CROWD):
            self._let_in()
        self._decoder.multi = self._slots.multi
        rows = self._decoder.step()
        pieces = [(row, row.advance(self.tokenizer, self.stop_ids)) for row in rows]
        self._leave([row for row in rows if row.completion is not None])
        return pieces

    @contextmanager
    def lent(self) -> Iterator[PreTrainedModel]:
        """The bare model for the time of the block; live rows go on afterwards. Between two steps only."""
        with self._slots.lent() as model:
            yield model

    def reset(self) -> None:
        """Drop all requests, after a step has failed."""
        self._waiting.clear()
        self._leave(self._decoder.inside)
        self._decoder = self._empty_decoder()

    def close(self) -> None:
        """Put the model back as it was."""
        self.reset()
        self._slots.close()

    def _let_in(self) -> None:
        if not self._decoder.rows:
            self._decoder = self._empty_decoder()  # Whose cache is as small as what comes next.
        while self._waiting and self._decoder.rows < self.max_rows:
            row = self._waiting[0]
            model = row.request.model
            if model.merged != self._slots.merged:
                if self._decoder.rows:
                    return
                self._slots.merge(model.merged)
            if not self._reserve(row):
                return
            if model.adapter is not None and (slot := self._slots.take(model.adapter)) is None:
                return
            row.slot = slot if model.adapter is not None else None
            self._decoder.add([self._waiting.popleft()])
            self._steps = 0

    def _reserve(self, row: Row) -> bool:
        """Make room for the keys and values of one more row, if there is memory."""
        rows = [*self._decoder.inside, row]
        longest = max(each.longest for each in rows)
        if len(rows) > 1 and len(rows) * longest > self._cache_tokens:
            return False
        self._decoder.cache.reserve(len(rows), longest)
        return True

    def _leave(self, rows: list[Row]) -> None:
        inside = set(self._decoder.inside)
        gone = [row for row in rows if row in inside]
        for row in gone:
            if row.request.model.adapter is not None:
                self._slots.give_back(row.request.model.adapter)
        self._decoder.drop(gone)

    def _empty_decoder(self) -> Decoder:
        return Decoder(self._slots.multi, KVCache(self.max_rows, 0, rows=0), self._token_budget, continuous=True)
