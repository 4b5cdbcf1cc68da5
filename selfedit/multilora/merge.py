"""Updates merged into a model's weights, for as long as it takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

from selfedit.types import Adapter, FullWeights, LoraFactors, LoraSpec, Model, ModelRef, Update


@contextmanager
def merged(model: PreTrainedModel, updates: Sequence[Update] = ()) -> Iterator[None]:
    """Run the block with updates merged into the model, one after another; then put its weights back, bit by bit.

    Weights that change are replaced, not written over: whoever shares them in memory sees nothing of it.

    What is trained inside starts from the merged model, which stays frozen: so the policy of one round is the base of
    the next (paper, section 3.1), and one sequential edit follows another (section 4.2). Blocks may be nested.
    """
    before: dict[str, torch.Tensor] = {}
    try:
        for update in updates:
            _merge(model, update, before)
        yield
    finally:
        for name, weight in before.items():
            model.get_parameter(name).data = weight


def side_by_side(adapters: Sequence[Adapter], recipe_id: str) -> Adapter:
    """One adapter that is the sum of several, exactly: their ranks side by side, their scaling in B.

    Raises:
        ValueError: there are none.
    """
    if not adapters:
        raise ValueError("nothing to put side by side")
    rank = sum(adapter.lora.rank for adapter in adapters)
    layers = dict.fromkeys(layer for adapter in adapters for layer in adapter.factors)
    factors = {}
    for layer in layers:
        parts = [(adapter, adapter.factors.get(layer)) for adapter in adapters]
        shape = next(part for _, part in parts if part is not None)
        a_RI = [_a(adapter, part, shape) for adapter, part in parts]
        b_OR = [_b(adapter, part, shape) for adapter, part in parts]
        factors[layer] = LoraFactors(torch.cat(a_RI), torch.cat(b_OR, 1))
    lora = LoraSpec(rank=rank, alpha=float(rank), target_modules=tuple(layers))
    return Adapter(recipe_id, lora, factors, fan_in_fan_out=adapters[0].fan_in_fan_out)


def check_base(models: Iterable[Model], base: ModelRef | None) -> None:
    """Raise ValueError if a model is over another base than the one that is loaded; None stands for any."""
    for model in models:
        if base is not None and model.base.fingerprint != base.fingerprint:
            raise ValueError(f"a model over {model.base.name} ({model.base.fingerprint[:12]}) was given to {base.name}")


def _a(adapter: Adapter, part: LoraFactors | None, shape: LoraFactors) -> torch.Tensor:
    return part.a_RI if part is not None else shape.a_RI.new_zeros(adapter.lora.rank, shape.a_RI.shape[1])


def _b(adapter: Adapter, part: LoraFactors | None, shape: LoraFactors) -> torch.Tensor:
    if part is None:
        return shape.b_OR.new_zeros(shape.b_OR.shape[0], adapter.lora.rank)
    return adapter.lora.scaling * part.b_OR


@torch.no_grad()
def _merge(model: PreTrainedModel, update: Update, before: dict[str, torch.Tensor]) -> None:
    """Put an update into copies of the weights, keeping in `before` those that were there at first."""
    if isinstance(update, FullWeights):
        for name, new in update.weights.items():
            _keep(model, name, before).copy_(new)
        return
    for layer, factors in update.factors.items():
        module = model.get_submodule(layer)
        weight = _keep(model, f"{layer}.weight", before)
        a_RI, b_OR = factors.a_RI.to(weight.device), factors.b_OR.to(weight.device)
        delta_OI = update.lora.scaling * (b_OR @ a_RI)
        # transformers' Conv1D stores its weight transposed.
        delta = delta_OI if isinstance(module, nn.Linear) else delta_OI.T
        weight.copy_((weight.float() + delta).to(weight.dtype))


def _keep(model: PreTrainedModel, name: str, before: dict[str, torch.Tensor]) -> nn.Parameter:
    """A weight that may be changed: a copy of the one that was there at first, which is in `before`."""
    weight = model.get_parameter(name)
    if name not in before:
        before[name] = weight.data
        weight.data = weight.data.clone()
    return weight
