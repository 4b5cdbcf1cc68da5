"""Inner loops by name. A new one is one file and one branch here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from selfedit.inner.base import InnerLoop

INNER_LOOPS = ("batched", "peft")


def make_inner_loop(
    name: str, model: PreTrainedModel, slots: int, token_budget: int, tell: Callable[[str], None] | None = None
) -> InnerLoop:
    """One of `INNER_LOOPS` over a model. Imported on call: naming a backend must not load torch."""
    if name == "peft":
        from selfedit.inner.peft import PeftInnerLoop

        return PeftInnerLoop(model)
    from selfedit.inner.batched import BatchedInnerLoop

    return BatchedInnerLoop(model, slots, token_budget, tell=tell)
