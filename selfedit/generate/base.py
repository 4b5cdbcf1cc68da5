"""Decoding: requests in, completions out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from selfedit.types import Adapter

OnCompletion = Callable[[int, "Completion"], None]
"""Called with a request's index and its completion as soon as that one ends."""


@dataclass(frozen=True)
class Request:
    """One prompt to complete.

    Args:
        prompt: token ids.
        adapter: name of the adapter to run under; None for the base model.
        temperature: 0 is greedy.
        top_p: sample from the smallest set of tokens that holds this much probability.
        seed: of this row's own random numbers; the same seed gives the same text in any batch.
        stop: strings that end the text, and are cut off it. End-of-text tokens always end it.
        schema: a JSON schema that the text must follow, as text; empty if it is free.
    """

    prompt: tuple[int, ...]
    adapter: str | None = None
    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    schema: str = ""


@dataclass(frozen=True)
class Completion:
    """What was written. `logprobs` are natural logs under the distribution that was sampled from."""

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Literal["stop", "length"]


@dataclass(frozen=True)
class Scored:
    """A text to be scored: the mean log-probability a token of `target` after `prompt`."""

    prompt: tuple[int, ...]
    target: tuple[int, ...]
    adapter: str | None = None


class Generator(ABC):
    """Decodes and scores under any of several adapters at once."""

    @abstractmethod
    def generate(
        self,
        requests: Sequence[Request],
        adapters: Mapping[str, Adapter] | None = None,
        on_completion: OnCompletion | None = None,
    ) -> list[Completion]:
        """Complete every request, in the order given.

        Raises:
            KeyError: a request names an adapter that is not in `adapters`.
            ValueError: a prompt is empty, or leaves no room in the model's window.
        """

    @abstractmethod
    def score(self, items: Sequence[Scored], adapters: Mapping[str, Adapter] | None = None) -> list[float]:
        """Mean natural-log probability a token of each target, in the order given."""
