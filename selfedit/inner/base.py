"""The inner loop: recipes in, adapters out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

from selfedit.types import Adapter, Recipe

OnTokens = Callable[[int], None]
"""Called after each step with the number of tokens trained on, so that progress can be shown."""


class InnerLoop(ABC):
    """Trains one adapter a recipe on a frozen base model."""

    @abstractmethod
    def adapt(self, recipes: Sequence[Recipe], on_tokens: OnTokens | None = None) -> Iterator[Adapter]:
        """Yield one adapter a recipe, in the order in which they end.

        An adapter depends on its own recipe alone: on its examples, settings and seed, not on its neighbours.

        Raises:
            ValueError: a recipe has no example, or one without any token that bears loss.
        """
