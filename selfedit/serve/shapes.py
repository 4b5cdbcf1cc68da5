"""Answers in OpenAI's shapes: whole ones and chunks of a stream, of chats and of texts."""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from selfedit.generate.base import Completion, TokenLogprobs
from selfedit.serve.job import Ended
from selfedit.serve.service import Ask
from selfedit.serve.wire import (
    Answerer,
    AnswerMessage,
    ChatAnswer,
    ChatChoice,
    TextAnswer,
    TextChoice,
    Usage,
)

_LEAST = -9999.0
"""In place of a log-probability that JSON cannot say; OpenAI's number."""

_BROKEN = "\N{REPLACEMENT CHARACTER}"


class Shape(ABC):
    """How the answers to one request are written down."""

    prefix: str
    object: str

    def __init__(self, ask: Ask, tokenizer: PreTrainedTokenizerBase, stop_ids: frozenset[int]) -> None:
        self._ask, self._tokenizer, self._stop_ids = ask, tokenizer, stop_ids
        served = ask.served
        self._answerer = Answerer(version=served.version, hash=served.sha256)
        self._envelope: dict[str, Any] = {
            "id": f"{self.prefix}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": served.name,
            "system_fingerprint": served.sha256[:16],
        }

    @property
    def headers(self) -> dict[str, str]:
        """Who answers, for those who look at headers alone."""
        return {"x-selfedit-version": self._answerer.version, "x-selfedit-hash": self._answerer.hash}

    @abstractmethod
    def whole(self, ended: Sequence[Ended]) -> ChatAnswer | TextAnswer:
        """The answer of a request that does not stream."""

    @abstractmethod
    def _delta(self, text: str, first: bool) -> dict[str, Any]:
        """A piece of one choice."""

    @abstractmethod
    def _logprobs(self, tokens: Sequence[int], reported: Sequence[TokenLogprobs]) -> dict[str, Any] | None:
        """What the model says of some tokens; None if that was not asked for."""

    def chunk(
        self,
        choice: int,
        text: str = "",
        *,
        first: bool = False,
        tokens: Sequence[int] = (),
        reported: Sequence[TokenLogprobs] = (),
        finish: str | None = None,
    ) -> dict[str, Any]:
        """A chunk of a stream, about one choice."""
        delta = self._delta(text, first) | {"index": choice, "finish_reason": finish}
        delta["logprobs"] = self._logprobs(tokens, reported) if tokens else None
        return self._envelope | {
            "object": self.object,
            "choices": [delta],
            "selfedit": self._answerer.model_dump(exclude={"sources"}),
        }

    def closing(self, ended: Sequence[Ended]) -> dict[str, Any]:
        """The last chunk, of usage alone."""
        return self._envelope | {
            "object": self.object,
            "choices": [],
            "usage": self._usage().model_dump(),
            "selfedit": self._told(ended).model_dump(),
        }

    def _usage(self) -> Usage:
        read, written = self._ask.prompt_tokens, self._ask.completion_tokens
        return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)

    def _told(self, ended: Sequence[Ended]) -> Answerer:
        sources = [each.taken.source.task.title if each.taken.source is not None else None for each in ended]
        return self._answerer.model_copy(update={"sources": sources})

    def _of(self, completion: Completion) -> dict[str, Any] | None:
        return self._logprobs(completion.tokens, completion.reported)

    def _text(self, token: int) -> str:
        return str(self._tokenizer.decode([token]))

    def _shown(self, tokens: Sequence[int], reported: Sequence[TokenLogprobs]) -> list[tuple[int, TokenLogprobs]]:
        """Tokens of the text, without the one that ended it."""
        return [pair for pair in zip(tokens, reported, strict=True) if pair[0] not in self._stop_ids]


class ChatShape(Shape):
    """Of /v1/chat/completions."""

    prefix, object = "chatcmpl", "chat.completion.chunk"

    def whole(self, ended: Sequence[Ended]) -> ChatAnswer:
        choices = [
            ChatChoice(
                index=i,
                message=AnswerMessage(content=each.completion.text),
                logprobs=self._of(each.completion),
                finish_reason=each.completion.finish,
            )
            for i, each in enumerate(ended)
        ]
        return ChatAnswer(choices=choices, usage=self._usage(), selfedit=self._told(ended), **self._envelope)

    def _delta(self, text: str, first: bool) -> dict[str, Any]:
        return {"delta": ({"role": "assistant"} if first else {}) | ({"content": text} if text or first else {})}

    def _logprobs(self, tokens: Sequence[int], reported: Sequence[TokenLogprobs]) -> dict[str, Any] | None:
        if self._ask.sampling.report is None:
            return None
        content = [
            self._entry(token, said.logprob) | {"top_logprobs": [self._entry(*each) for each in said.top]}
            for token, said in self._shown(tokens, reported)
        ]
        return {"content": content, "refusal": None}

    def _entry(self, token: int, logprob: float) -> dict[str, Any]:
        text = self._text(token)
        # Bytes of a part of a character are not to be had from its text.
        return {
            "token": text,
            "logprob": max(logprob, _LEAST),
            "bytes": None if _BROKEN in text else list(text.encode()),
        }


class TextShape(Shape):
    """Of /v1/completions."""

    prefix, object = "cmpl", "text_completion"

    def whole(self, ended: Sequence[Ended]) -> TextAnswer:
        choices = [
            TextChoice(
                index=i,
                text=each.completion.text,
                logprobs=self._of(each.completion),
                finish_reason=each.completion.finish,
            )
            for i, each in enumerate(ended)
        ]
        return TextAnswer(choices=choices, usage=self._usage(), selfedit=self._told(ended), **self._envelope)

    def _delta(self, text: str, first: bool) -> dict[str, Any]:
        return {"text": text}

    def _logprobs(self, tokens: Sequence[int], reported: Sequence[TokenLogprobs]) -> dict[str, Any] | None:
        if self._ask.sampling.report is None:
            return None
        shown = self._shown(tokens, reported)
        return {
            "tokens": [self._text(token) for token, _ in shown],
            "token_logprobs": [max(said.logprob, _LEAST) for _, said in shown],
            "top_logprobs": [
                {self._text(token): max(logprob, _LEAST) for token, logprob in said.top} for _, said in shown
            ],
        }
