"""Generators by name. A new one is one file and one branch here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selfedit.generate.base import Generator
    from selfedit.models.load import BaseModel

GENERATORS = ("batched", "vllm")


def make_generator(name: str, base: BaseModel) -> Generator:
    """One of `GENERATORS` over a base model. Imported on call: naming a backend must not load torch."""
    if name == "vllm":
        from selfedit.generate.vllm import VllmGenerator

        return VllmGenerator(base.folder, frozenset(base.stop_token_ids))
    from selfedit.generate.batched import BatchedGenerator

    return BatchedGenerator(base.model, base.tokenizer, frozenset(base.stop_token_ids), base=base.ref, turns=base.turns)
