"""Helpers shared by the engine's tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from selfedit.inner.base import InnerLoop
from selfedit.multilora.model import layer_shapes, resolve_targets
from selfedit.types import Adapter, LoraFactors, LoraSpec, Model, ModelRef, Recipe, Update
from tests.tiny import make_tiny_model

VOCAB = 400
BARE = Model(ModelRef("tiny", "0"))
"""The model that is loaded, whatever it is."""


def load_tiny(folder: Path, family: str = "llama") -> Any:
    """A frozen tiny random model."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(make_tiny_model(folder, family=family, vocab=VOCAB))
    return model.eval().requires_grad_(False)


def random_adapter(model: Any, name: str, rank: int, seed: int, size: float = 0.1) -> Adapter:
    """An adapter on all linear layers whose B is not zero, so that it changes answers and has all gradients."""
    shapes = layer_shapes(model, resolve_targets(model, "all-linear"))
    generator = torch.Generator().manual_seed(seed)
    factors = {
        layer: LoraFactors(
            torch.randn(rank, inputs, generator=generator) * size,
            torch.randn(outputs, rank, generator=generator) * size,
        )
        for layer, (inputs, outputs) in shapes.items()
    }
    return Adapter(name, LoraSpec(rank=rank, alpha=2.0 * rank), factors)


def train(loop: InnerLoop, recipes: Sequence[Recipe]) -> Iterator[Adapter]:
    """What a loop makes of the loaded model as it is, where it makes adapters."""
    for update in loop.adapt(recipes, BARE):
        assert isinstance(update, Adapter)
        yield update


def under(updates: Mapping[str, Update]) -> dict[str | None, Model]:
    """The loaded model under each of the updates, by name, and as it is."""
    return {None: BARE} | {name: BARE.with_update(update) for name, update in updates.items()}


def in_peft(model: Any, adapter: Adapter) -> Any:
    """The model with the adapter on it, by PEFT. `unload()` it afterwards."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=adapter.lora.rank, lora_alpha=int(adapter.lora.alpha), target_modules=list(adapter.factors))
    peft_model: Any = get_peft_model(model, config)
    with torch.no_grad():
        for name, factors in adapter.factors.items():
            layer = peft_model.base_model.model.get_submodule(name)
            layer.lora_A["default"].weight.copy_(factors.a_RI)
            layer.lora_B["default"].weight.copy_(factors.b_OR)
    return peft_model
