"""Decoding: requests in, completions out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from selfedit.types import Model

OnCompletion = Callable[[int, "Completion"], None]
"""Called with a request's index and its completion as soon as that one ends."""


@dataclass(frozen=True)
class Request:
    """One prompt to complete.

    Args:
        prompt: token ids.
        model: what completes it.
        temperature: 0 is greedy.
        top_p: sample from the smallest set of tokens that holds this much probability.
        seed: of this row's own random numbers; the same seed gives the same text in any batch.
        stop: strings that end the text, and are cut off it. End-of-text tokens always end it.
        schema: a JSON schema that the text must follow, as text; empty if it is free.
        words_of: a text that it must be words of, one after another as they stand there; empty if it is free.
        report: how many of the likeliest tokens to tell at each step; None tells nothing of them.
    """

    prompt: tuple[int, ...]
    model: Model
    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    schema: str = ""
    words_of: str = ""
    report: int | None = None


@dataclass(frozen=True)
class TokenLogprobs:
    """What the model alone says of one step, before temperature and nucleus: natural logs.

    `logprob` is of the token that was chosen; `top` are the likeliest ones with theirs, the likeliest first.
    """

    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Completion:
    """What was written. `logprobs` are natural logs under the distribution that was sampled from.

    `reported` has one entry a token where the request asks for a report; otherwise it is empty.
    """

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Literal["stop", "length"]
    reported: tuple[TokenLogprobs, ...] = ()


@dataclass(frozen=True)
class Scored:
    """A text to be scored: the mean log-probability a token of `target` after `prompt`."""

    prompt: tuple[int, ...]
    target: tuple[int, ...]
    model: Model


class Generator(ABC):
    """Decodes and scores under any of several models at once, all over the base that it holds."""

    @abstractmethod
    def generate(
        self,
        requests: Sequence[Request],
        on_completion: OnCompletion | None = None,
    ) -> list[Completion]:
        """Complete every request, in the order given.

        Raises:
            ValueError: a prompt is empty, or a request's model is over another base.
        """

    @abstractmethod
    def score(self, items: Sequence[Scored]) -> list[float]:
        """Mean natural-log probability a token of each target, in the order given."""

    def divergence(self, texts: Sequence[tuple[tuple[int, ...], Model]], base: Model) -> list[float]:
        """How far each model is from the base on a text: the mean over its tokens of the Kullback-Leibler divergence
        KL(base || model) of the next token's distribution, in nats.

        Raises:
            NotImplementedError: this generator has no distributions to give.
        """
        raise NotImplementedError(f"{type(self).__name__} does not give whole distributions")
