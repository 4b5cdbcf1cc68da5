"""Recipes to adapters, with a bar over their tokens; and whether an adapter came out sound."""

from __future__ import annotations

import math
from collections.abc import Sequence

from selfedit.errors import UserError
from selfedit.inner.base import InnerLoop
from selfedit.progress import Progress
from selfedit.types import Adapter, Recipe


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
            f"{label}: training diverged (learning rate {recipe.hyperparameters.learning_rate:g}). Lower {setting}."
        )
    return adapter


def is_sound(adapter: Adapter) -> bool:
    """Whether every loss on the way was a number; an adapter that diverged answers nonsense."""
    return all(map(math.isfinite, adapter.losses))
