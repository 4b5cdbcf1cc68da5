"""Drift: how a model answers a fixed set of prompts, some of which a careful model declines, against the base."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from selfedit.documents.general import DECLINED, drift_prompts
from selfedit.generate.base import Generator, Request
from selfedit.memory.recall import Recall, Recalled
from selfedit.routing import Query
from selfedit.text.matching import answer_in_passage, normalise
from selfedit.types import DriftFigures, Model, Probe

_TOKENS = 32
"""Of an answer: enough to decline, and to ramble."""
_IN_A_ROW = 3


@dataclass(frozen=True)
class Said:
    """An answer, as text and as tokens."""

    text: str
    tokens: tuple[int, ...]


class DriftMeter:
    """Asks the fixed set of prompts.

    Args:
        ask: the prompt of a question under a topic.
    """

    def __init__(self, generator: Generator, ask: Callable[[str, str], tuple[int, ...]], base: Model) -> None:
        self._generator, self._ask, self._base = generator, ask, base
        tasks = drift_prompts()
        self._prompts = [probe for task in tasks for probe in task.probes]
        self._declines = [DECLINED in task.id for task in tasks for _ in task.probes]
        self._words = next(task for task in tasks if DECLINED in task.id).probes[0].answers

    def base(self) -> tuple[Said, ...]:
        """What the base answers to each prompt, which all else is held against."""
        return self._written([(probe, self._base, "") for probe in self._prompts])

    def base_figures(self, base: Sequence[Said]) -> DriftFigures:
        """The figures of the base itself."""
        return self._figures("base", base, 0, 0.0)

    def moved(self, recall: Recall) -> int:
        """How many prompts a version, as it is asked, answers by something else than the base."""
        return sum(bool(who.adapters) for who in self._recalled(recall))

    def routed(self, recall: Recall, base: Sequence[Said]) -> DriftFigures:
        """A version as `ask` routes it."""
        return self._against(
            "routed", [(w.model if w.adapters else None, w.topic) for w in self._recalled(recall)], base
        )

    def always_on(self, model: Model, base: Sequence[Said]) -> DriftFigures:
        """One model for all prompts."""
        return self._against("always on", [(model, "")] * len(self._prompts), base)

    def _recalled(self, recall: Recall) -> list[Recalled]:
        return recall.recall([Query(probe.question) for probe in self._prompts])

    def _against(
        self,
        of: Literal["routed", "always on"],
        models: Sequence[tuple[Model | None, str]],
        base: Sequence[Said],
    ) -> DriftFigures:
        """Only what is not the base's is asked again."""
        asked = [(i, model, topic) for i, (model, topic) in enumerate(models) if model is not None]
        written = iter(self._written([(self._prompts[i], model, topic) for i, model, topic in asked]))
        said = list(base)
        for i, _, _ in asked:
            said[i] = next(written)
        texts = [((*self._ask(self._prompts[i].question, ""), *base[i].tokens), model) for i, model, _ in asked]
        divergence: float | None
        try:
            divergence = sum(self._generator.divergence(texts, self._base)) / len(models) if texts else 0.0
        except NotImplementedError:
            divergence = None
        return self._figures(of, said, len(asked), divergence)

    def _written(self, asked: Sequence[tuple[Probe, Model, str]]) -> tuple[Said, ...]:
        requests = [
            Request(self._ask(probe.question, topic), model, _TOKENS, stop=("\n",)) for probe, model, topic in asked
        ]
        return tuple(Said(each.text.strip(), each.tokens) for each in self._generator.generate(requests))

    def _figures(
        self,
        of: Literal["base", "routed", "always on"],
        said: Sequence[Said],
        moved: int,
        divergence: float | None,
    ) -> DriftFigures:
        declined = [any(answer_in_passage(words, each.text) for words in self._words) for each in said]
        pairs = list(zip(declined, self._declines, strict=True))
        return DriftFigures(
            of,
            len(said),
            moved,
            divergence,
            fmean(is_declined for is_declined, should in pairs if should),
            fmean(is_declined for is_declined, should in pairs if not should),
            fmean(len(normalise(each.text).split()) for each in said),
            fmean(_repeats(each.text) for each in said),
        )


def _repeats(text: str) -> bool:
    words = normalise(text).split()
    runs = [tuple(words[i : i + _IN_A_ROW]) for i in range(len(words) - _IN_A_ROW + 1)]
    return len(set(runs)) < len(runs)
