"""The best that fits a given time: how much is asked about each sentence, and how long is trained on it.

What is left out first is what adds least: a second attempt at a span, questions that only measure, adapters on the
lower half of the layers, further answers of a sentence; epochs and the second wording last. With half of the pairs
the demo falls from 24 to 19 of 30, with four epochs instead of six to 20 (`python -m benchmarks.options --documents
demo --seeds 0`: the same self-edits, one seed). Half of the layers saves more than either: three seeds of the demo
have 67 of 90 right as with all layers, and six other documents 26 instead of 31 of 48. The choice is made by the
estimate before anything is written, and the epochs once more when it is known how much was written and how fast this
machine trains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from selfedit.cost import duration
from selfedit.errors import UserError
from selfedit.learn.config import LearnConfig
from selfedit.memory import DEFAULT_MEMORY
from selfedit.types import UPPER_HALF

EFFORTS: tuple[Mapping[str, int], ...] = (
    {},
    {"tries": 1},
    {"tries": 1, "questions_per_passage": 2},
    {"tries": 1, "questions_per_passage": 2, "halves": 1},
    {"tries": 1, "questions_per_passage": 2, "halves": 1, "spans": 2},
    {"tries": 1, "questions_per_passage": 1, "halves": 1, "spans": 1},
    {"tries": 1, "questions_per_passage": 1, "halves": 1, "spans": 1, "epochs": 4},
    {"tries": 1, "questions_per_passage": 1, "halves": 1, "spans": 1, "wordings": 1, "epochs": 4},
    {"tries": 1, "questions_per_passage": 1, "halves": 1, "spans": 1, "wordings": 1, "epochs": 2},
)
"""At most so much of each setting, the most thorough effort first; `halves` of the layers have adapters, of two."""

_OF_TRAINING = {"halves", "epochs"}

KEPT_FREE = 0.15
"""The share of a budget that is not planned: estimates err."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*([smh])")


def parse_budget(text: str) -> float:
    """Seconds of a budget such as 90s, 20m or 1.5h.

    Raises:
        UserError: it is none.
    """
    found = _BUDGET.fullmatch(text.strip().lower())
    if found is None or float(found[1]) == 0:
        raise UserError(f"--budget is '{text}': give a time such as 90s, 20m or 1.5h.")
    return float(found[1]) * _UNITS[found[2]]


def with_effort(config: LearnConfig, effort: Mapping[str, int]) -> LearnConfig:
    """The settings, none of them larger than an effort allows."""
    changed: dict[str, Any] = {
        name: min(most, getattr(config, name)) for name, most in effort.items() if name not in _OF_TRAINING
    }
    final = config.final(config.memory or DEFAULT_MEMORY)
    training: dict[str, Any] = {"epochs": min(effort.get("epochs", final.epochs), final.epochs)}
    if "halves" in effort and final.target_modules == "all-linear":  # Whoever chose layers keeps them.
        training["target_modules"] = UPPER_HALF
    if not _OF_TRAINING.isdisjoint(effort):
        changed["final_training"] = final.model_copy(update=training)
    return config.model_copy(update=changed)


def fitted(config: LearnConfig, seconds: Callable[[LearnConfig], float]) -> int:
    """Which of the efforts is the most thorough one that fits the settings' budget.

    Args:
        seconds: what settings would take, by the estimate.

    Raises:
        UserError: nothing fits; the least that would is said.
    """
    assert config.budget is not None
    room = (1 - KEPT_FREE) * config.budget
    for number, effort in enumerate(EFFORTS):
        if (least := seconds(with_effort(config, effort))) <= room:
            return number
    raise UserError(
        f"--budget {duration(config.budget)} is too small: the least that can be done about these documents takes "
        f"about {duration(least / (1 - KEPT_FREE))} by the estimate. Give more time, or fewer documents."
    )


def plan(config: LearnConfig) -> str:
    """What settings do, in a line to the user."""
    final = config.final(config.memory or DEFAULT_MEMORY)
    answers = f"up to {config.spans} answers of each sentence" if config.spans > 1 else "one answer of each sentence"
    wordings = f"{config.wordings} wordings" if config.wordings > 1 else "one wording"
    tries = f"{config.tries} attempts" if config.tries > 1 else "one attempt"
    layers = ", adapters on the upper half of the layers" if final.target_modules == UPPER_HALF else ""
    return f"{answers}, {wordings} of a question, {tries}, {final.epochs} epochs{layers}"


def epochs_left(tokens: int, rate: float, seconds: float, most: int) -> int:
    """How often `tokens` can be trained on at `rate` tokens a second in what is left; at least once."""
    return max(1, min(most, int(seconds * rate / max(1, tokens))))
