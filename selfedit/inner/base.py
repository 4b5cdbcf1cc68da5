"""The inner loop: recipes in, adapters out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from selfedit.types import Model, Recipe, Update

if TYPE_CHECKING:
    from selfedit.inner.checkpoint import CheckpointFolder

OnTokens = Callable[[int], None]
"""Called after each step with the number of tokens trained on, so that progress can be shown."""


class InnerLoop(ABC):
    """Trains one adapter a recipe on a frozen model, or all its weights."""

    @abstractmethod
    def adapt(
        self,
        recipes: Sequence[Recipe],
        model: Model,
        on_tokens: OnTokens | None = None,
        checkpoint: CheckpointFolder | None = None,
    ) -> Iterator[Update]:
        """Yield what each recipe makes of a model, which stays as it is, in the order in which they end.

        An adapter depends on its own recipe alone: on its examples, settings and seed, not on its neighbours.

        Args:
            checkpoint: where the state of training is kept now and then. Given the same recipes and model again, it
                goes on from there, to the same bits. Loops for comparison may leave it alone.

        Raises:
            ValueError: a recipe has no example, or one without any token that bears loss; or the model is over another
                base than the one that is loaded.
        """
