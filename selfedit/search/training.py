"""Recipes to adapters, and adapters to answers, each with a bar; and whether an adapter came out sound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from selfedit.errors import UserError
from selfedit.inner.base import InnerLoop
from selfedit.progress import Progress
from selfedit.search.evaluator import Evaluator
from selfedit.types import Adapter, Evaluation, Recipe, Task

DIVERGED = "training diverged"
"""Why an adapter has no answers."""


def train_all(inner: InnerLoop, recipes: Sequence[Recipe], label: str, progress: Progress) -> dict[str, Adapter]:
    """Adapters by the ids of their recipes, trained together. Some may not be sound."""
    total = sum(recipe.tokens_per_epoch * recipe.hyperparameters.epochs for recipe in recipes)
    with progress.bar(label, total, "tokens") as bar:
        return {adapter.recipe_id: adapter for adapter in inner.adapt(recipes, bar.advance)}


def train_one(inner: InnerLoop, recipe: Recipe, label: str, progress: Progress, setting: str) -> Adapter:
    """An adapter that the rest of a run needs.

    Raises:
        UserError: training diverged. `setting` is the learning rate that should be lower.
    """
    adapter = train_all(inner, [recipe], label, progress)[recipe.id]
    if not is_sound(adapter):
        raise UserError(
            f"{label}: {DIVERGED} (learning rate {recipe.hyperparameters.learning_rate:g}). Lower {setting}."
        )
    return adapter


@dataclass(frozen=True)
class Tried:
    """An adapter, and the answers to its task's probes; None if its training diverged."""

    adapter: Adapter
    after: Evaluation | None


def try_all(
    inner: InnerLoop, evaluator: Evaluator, jobs: Sequence[tuple[Task, Recipe]], label: str, progress: Progress
) -> list[Tried]:
    """Adapters trained together and each asked its task's probes, in the order of `jobs`."""
    adapters = train_all(inner, [recipe for _, recipe in jobs], label, progress)
    sound = {name: adapter for name, adapter in adapters.items() if is_sound(adapter)}
    asked: list[tuple[Task, str | None]] = [(task, recipe.id) for task, recipe in jobs if recipe.id in sound]
    with progress.bar("Asking the adapters", sum(len(task.probes) for task, _ in asked), "questions") as bar:
        evaluations = iter(evaluator.evaluate(asked, sound, bar.advance))
    return [Tried(adapters[recipe.id], next(evaluations) if recipe.id in sound else None) for _, recipe in jobs]


def is_sound(adapter: Adapter) -> bool:
    """Whether every loss on the way and every weight is a number; an adapter that diverged answers nonsense."""
    parts = [part for factors in adapter.factors.values() for part in (factors.a_RI, factors.b_OR)]
    weights = (*parts, *adapter.weights.values())
    return all(map(math.isfinite, adapter.losses)) and all(bool(weight.isfinite().all()) for weight in weights)
