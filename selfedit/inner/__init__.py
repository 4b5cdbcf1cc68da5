"""Inner loops by name. A new one is one file and one branch here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selfedit.inner.base import InnerLoop
    from selfedit.models.load import BaseModel

INNER_LOOPS = ("batched", "peft")


def make_inner_loop(
    name: str, base: BaseModel, slots: int, token_budget: int, tell: Callable[[str], None] | None = None
) -> InnerLoop:
    """One of `INNER_LOOPS` over a base model. Imported on call: naming a backend must not load torch."""
    if name == "peft":
        from selfedit.inner.peft import PeftInnerLoop

        return PeftInnerLoop(base.model, base.ref)
    from selfedit.inner.batched import BatchedInnerLoop

    return BatchedInnerLoop(base.model, slots, token_budget, tell=tell, base=base.ref, turns=base.turns)
