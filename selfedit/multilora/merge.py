"""Adapters merged into a model's weights, for as long as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

from selfedit.types import Adapter


@contextmanager
def merged(model: PreTrainedModel, adapters: Sequence[Adapter] = ()) -> Iterator[Callable[[Adapter], None]]:
    """Run the block with adapters merged into the model, one after another; then put its weights back, bit by bit.

    What is trained inside starts from the merged model, which stays frozen: so the policy of one round is the base of
    the next (paper, section 3.1), and one sequential edit follows another (section 4.2). Blocks may be nested; the
    block is given a function that merges one more adapter until its end.
    """
    before: dict[str, torch.Tensor] = {}
    try:
        for adapter in adapters:
            _merge(model, adapter, before)
        yield lambda adapter: _merge(model, adapter, before)
    finally:
        with torch.no_grad():
            for name, weight in before.items():
                model.get_parameter(name).copy_(weight)


@torch.no_grad()
def _merge(model: PreTrainedModel, adapter: Adapter, before: dict[str, torch.Tensor]) -> None:
    """Add an adapter to the weights, keeping in `before` what was there at first."""
    for name, new in adapter.weights.items():
        _keep(model, name, before).copy_(new)
    for layer, factors in adapter.factors.items():
        module = model.get_submodule(layer)
        name = f"{layer}.weight"
        weight = _keep(model, name, before)
        a_RI, b_OR = factors.a_RI.to(weight.device), factors.b_OR.to(weight.device)
        delta_OI = adapter.lora.scaling * (b_OR @ a_RI)
        # transformers' Conv1D stores its weight transposed.
        delta = delta_OI if isinstance(module, nn.Linear) else delta_OI.T
        weight.copy_((weight.float() + delta).to(weight.dtype))


def _keep(model: PreTrainedModel, name: str, before: dict[str, torch.Tensor]) -> nn.Parameter:
    """A weight that is about to change, a copy of which is in `before` as it was at first."""
    weight = model.get_parameter(name)
    if name not in before:
        before[name] = weight.detach().clone()
    return weight
