"""Decoding that follows a JSON schema, or the words of a text: tokens that would leave it are never chosen."""

from __future__ import annotations

import json
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from selfedit.generate.base import Request


class GrammarMaker:
    """Makes a `Grammar` for each row; the tokenizer's vocabulary is read once, when the first is asked for."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop_ids: frozenset[int]) -> None:
        self._tokenizer, self._stop_ids = tokenizer, stop_ids
        self._vocabulary: Any = None
        self._compiled: dict[str, str] = {}

    def of(self, request: Request) -> Grammar | None:
        """What a request's text must follow, at its beginning; None if it is free. Raises as `make`."""
        return self.make(request.schema, request.words_of)

    def make(self, schema: str, words_of: str = "") -> Grammar | None:
        """A grammar at its beginning; None where both are empty, which allows everything.

        Args:
            words_of: what is written are words of this text, one after another as they stand there.

        Raises:
            ValueError: the schema cannot be followed.
        """
        if not schema and not words_of:
            return None
        from llguidance import LLMatcher
        from llguidance.hf import from_tokenizer

        tokenizer: Any = self._tokenizer
        if self._vocabulary is None:
            self._vocabulary = from_tokenizer(tokenizer, eos_token=min(self._stop_ids, default=None))
        if not schema:
            # Some scripts have no spaces between words.
            kind = "substring_words" if " " in words_of.strip() else "substring_chars"
            return Grammar(LLMatcher(self._vocabulary, f"start: %regex {json.dumps({kind: words_of})}"))
        if schema not in self._compiled:
            # One space after a colon or comma, as json.dumps writes it: nothing to choose between the words.
            self._compiled[schema] = LLMatcher.grammar_from_json_schema(
                schema, defaults={"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
            )
        return Grammar(LLMatcher(self._vocabulary, self._compiled[schema]))


class Grammar:
    """Where one row stands in its schema."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher
        self._check()

    def allowed(self) -> torch.Tensor:
        """The ids of the tokens that may come next; a single one where the text to come is settled.

        Such text is spelled as the tokenizer would, not in the many other ways that the grammar also allows: that is
        how the model was trained to read it, and most of a JSON object needs no choosing.
        """
        settled = self._matcher.compute_ff_tokens()
        if settled:
            return torch.tensor(settled[:1])
        allowed_V = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8)
        self._check()
        return allowed_V.nonzero().flatten()

    def accept(self, token: int) -> None:
        """Go on after a token was chosen."""
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise ValueError(f"the schema cannot be followed: {self._matcher.get_error()}")
