"""One request that is being decoded: its tokens so far, its text, and whether it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from transformers import PreTrainedTokenizerBase

from selfedit.generate.base import Completion, Request, TokenLogprobs
from selfedit.generate.grammar import Grammar
from selfedit.generate.sampling import greedy, nucleus

_BROKEN = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer shows of a character whose last bytes are still to come."""


class Row:
    """One request being decoded.

    Args:
        slot: of the adapter that it runs under; None for the bare model.
        streams: whether its text is wanted piece by piece.

    Attributes:
        completion: what was written, once it has ended; until then None.
    """

    def __init__(
        self, request: Request, grammar: Grammar | None = None, slot: int | None = None, streams: bool = False
    ) -> None:
        self.request, self.slot, self._grammar = request, slot, grammar
        self._increments = TextIncrements(request.stop) if streams else None
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self.reported: list[TokenLogprobs] = []
        self.completion: Completion | None = None
        self._generator = torch.Generator().manual_seed(request.seed)

    @property
    def longest(self) -> int:
        """The most positions that it can come to."""
        return len(self.request.prompt) + self.request.max_new_tokens

    @property
    def prompt_key(self) -> tuple[int | None, tuple[int, ...]]:
        """Equal for rows that one reading of the prompt serves."""
        return self.slot, self.request.prompt

    def pick(self, logits_V: torch.Tensor) -> None:
        """Choose the next token from the logits; only from those that the grammar allows, where there is one."""
        if self._grammar is None:
            token, logprob = self._choose(logits_V)
        else:
            tokens_A = self._grammar.allowed()
            # Some tokenizers have more tokens than their model has logits.
            tokens_A = tokens_A[tokens_A < logits_V.numel()]
            place, logprob = self._choose(logits_V[tokens_A])
            token = int(tokens_A[place])
            self._grammar.accept(token)
        self.tokens.append(token)
        self.logprobs.append(logprob)
        if self.request.report is not None:
            self.reported.append(_report(logits_V, token, self.request.report))

    def _choose(self, logits_V: torch.Tensor) -> tuple[int, float]:
        if self.request.temperature == 0:
            return greedy(logits_V)
        return nucleus(logits_V, self.request.temperature, self.request.top_p, self._generator)

    def advance(self, tokenizer: PreTrainedTokenizerBase, stop_ids: frozenset[int]) -> str:
        """See whether the row ended with the newest token, and set `completion` if so.

        Returns the text that came with it, if the row streams; empty otherwise.
        """
        ended, full = self.tokens[-1] in stop_ids, len(self.tokens) == self.request.max_new_tokens
        text = ""
        if ended or full or self._increments or self.request.stop:
            text_tokens = self.tokens[:-1] if ended else self.tokens
            text = str(tokenizer.decode(text_tokens, skip_special_tokens=True))
        cuts = [at for at in (text.find(stop) for stop in self.request.stop) if at >= 0]
        if cuts:
            text, ended = text[: min(cuts)], True
        if ended or full:
            finish: Literal["stop", "length"] = "stop" if ended else "length"
            tokens, logprobs = tuple(self.tokens), tuple(self.logprobs)
            self.completion = Completion(text, tokens, logprobs, finish, tuple(self.reported))
        return self._increments.next(text, self.completion is not None) if self._increments else ""


class TextIncrements:
    """The text of a row in pieces that are never taken back.

    Held back is a character whose last bytes are still to come, and what may be the beginning of a stop string.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = stop
        self._shown = 0

    def next(self, text: str, ended: bool = False) -> str:
        """What the text so far has more than was shown; all of it, if it has ended."""
        settled = len(text) if ended else len(text.rstrip(_BROKEN))
        if not ended:
            settled -= max((_overlap(text[:settled], stop) for stop in self._stop), default=0)
        piece = text[self._shown : settled]
        self._shown = max(self._shown, settled)
        return piece


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of a text with which a stop string begins."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)


def _report(logits_V: torch.Tensor, token: int, count: int) -> TokenLogprobs:
    logprobs_V = logits_V.log_softmax(0)
    values, ids = logprobs_V.topk(min(count, logits_V.numel()))
    top = tuple(zip(map(int, ids), map(float, values), strict=True))
    return TokenLogprobs(float(logprobs_V[token]), top)
