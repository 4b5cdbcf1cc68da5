"""Recipes to updates, with a bar; and whether an update came out sound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from selfedit.errors import UserError
from selfedit.inner.base import InnerLoop
from selfedit.progress import Progress
from selfedit.types import FullWeights, Model, Recipe, Update

if TYPE_CHECKING:
    from selfedit.inner.checkpoint import CheckpointFolder

DIVERGED = "training diverged"
"""Why an adapter has no answers."""


class DivergedError(UserError):
    """An update that the rest of a run needs is not sound."""


def train_all(
    inner: InnerLoop,
    recipes: Sequence[Recipe],
    model: Model,
    label: str,
    progress: Progress,
    checkpoint: CheckpointFolder | None = None,
) -> dict[str, Update]:
    """Updates by the ids of their recipes, trained together. Some may not be sound."""
    total = sum(recipe.tokens_per_epoch * recipe.hyperparameters.epochs for recipe in recipes)
    with progress.bar(label, total, "tokens") as bar:
        return {update.recipe_id: update for update in inner.adapt(recipes, model, bar.advance, checkpoint)}


def train_one(
    inner: InnerLoop,
    recipe: Recipe,
    model: Model,
    label: str,
    progress: Progress,
    setting: str,
    checkpoint: CheckpointFolder | None = None,
) -> Update:
    """An update that the rest of a run needs.

    Raises:
        DivergedError: training diverged. `setting` is the learning rate that should be lower.
    """
    update = train_all(inner, [recipe], model, label, progress, checkpoint)[recipe.id]
    if not is_sound(update):
        raise DivergedError(
            f"{label}: {DIVERGED} (learning rate {recipe.hyperparameters.learning_rate:g}). Lower {setting}."
        )
    return update


def is_sound(update: Update) -> bool:
    """Whether every loss on the way and every weight is a number; an adapter that diverged answers nonsense."""
    if isinstance(update, FullWeights):
        weights = list(update.weights.values())
    else:
        weights = [part for factors in update.factors.values() for part in (factors.a_RI, factors.b_OR)]
    return all(map(math.isfinite, update.losses)) and all(bool(weight.isfinite().all()) for weight in weights)
