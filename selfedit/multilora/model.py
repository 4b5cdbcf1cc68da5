"""A frozen causal language model with n slots for LoRA adapters."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from torch import nn
from transformers import PreTrainedModel

from selfedit.multilora import attention
from selfedit.multilora.layers import StackedLoraLinear
from selfedit.multilora.linear import FrozenLinear
from selfedit.multilora.layout import Layout, packed_positions, use_layout
from selfedit.types import Adapter, LoraFactors, LoraSpec


class MultiLoraModel:
    """Runs packed sequences through one frozen base, each under its own adapter slot or under none.

    Wraps the targeted linear layers in place; `unwrap` puts the model back as it was. Only one wrapper may hold a
    model at a time.

    Args:
        model: any decoder-only model that takes transformers' attention interface.
        slots: how many adapters fit at once.
        rank: the largest rank that fits.
        layers: names of the layers to wrap; `resolve_targets` finds them as PEFT does.
    """

    def __init__(self, model: PreTrainedModel, slots: int, rank: int, layers: Collection[str]) -> None:
        self.model, self.slots, self.rank = model, slots, rank
        self.scaling_N = [0.0] * slots
        attention.register()
        self._attention_before = model.config._attn_implementation
        model.set_attn_implementation(attention.NAME)
        self.layers: dict[str, StackedLoraLinear] = {}
        self._wrapped: dict[str, StackedLoraLinear | FrozenLinear] = {}
        for name, module in list(model.named_modules()):
            if name in layers:
                self.layers[name] = self._wrapped[name] = StackedLoraLinear(module, slots, rank, self.scaling_N)
            elif isinstance(module, nn.Linear):
                self._wrapped[name] = FrozenLinear(module)
        for name, wrapper in self._wrapped.items():
            _replace(model, name, wrapper)

    @property
    def device(self) -> torch.device:
        return self.model.device

    def unwrap(self) -> PreTrainedModel:
        """Take the adapters off and return the bare model."""
        for name, layer in self._wrapped.items():
            _replace(self.model, name, layer.base)
        self.layers, self._wrapped = {}, {}
        self.model.set_attn_implementation(self._attention_before)
        return self.model

    def hidden_states(self, tokens: Sequence[int], layout: Layout, starts: Sequence[int] | None = None) -> torch.Tensor:
        """Last hidden states `[T, hidden]` of packed tokens; `starts` are the sequences' first positions."""
        positions = packed_positions(layout.lengths, starts).to(self.device)
        ids = torch.tensor([tokens], device=self.device)
        decoder: nn.Module = self.model.base_model
        with use_layout(layout):
            output = decoder(input_ids=ids, position_ids=positions, use_cache=False)
        hidden: torch.Tensor = output.last_hidden_state[0]
        return hidden

    def logits(self, hidden_TH: torch.Tensor) -> torch.Tensor:
        """Next-token logits `[T, vocab]`, fp32."""
        logits: torch.Tensor = self.model.get_output_embeddings()(hidden_TH).float()
        softcap = getattr(self.model.config, "final_logit_softcapping", None)
        return logits if softcap is None else torch.tanh(logits / softcap) * softcap

    @torch.no_grad()
    def load(self, slot: int, adapter: Adapter) -> None:
        """Put an adapter into a slot.

        Raises:
            ValueError: the adapter has layers that are not wrapped, or a rank above `rank`.
        """
        unknown = adapter.factors.keys() - self.layers.keys()
        if unknown or adapter.lora.rank > self.rank:
            raise ValueError(f"adapter {adapter.recipe_id} does not fit: rank {adapter.lora.rank}, layers {unknown}")
        self.scaling_N[slot] = adapter.lora.scaling
        for name, layer in self.layers.items():
            layer.a_NRI[slot].zero_()
            layer.b_NOR[slot].zero_()
            if name in adapter.factors:
                factors = adapter.factors[name]
                layer.a_NRI[slot, : adapter.lora.rank] = factors.a_RI
                layer.b_NOR[slot, :, : adapter.lora.rank] = factors.b_OR

    @torch.no_grad()
    def read(self, slot: int, recipe_id: str, lora: LoraSpec, losses: tuple[float, ...] = ()) -> Adapter:
        """Copy a slot out as an adapter on the CPU."""
        factors = {
            name: LoraFactors(
                layer.a_NRI[slot, : lora.rank].to("cpu", copy=True),
                layer.b_NOR[slot, :, : lora.rank].to("cpu", copy=True),
            )
            for name, layer in self.layers.items()
        }
        return Adapter(recipe_id, lora, factors, losses)

    def parameters(self) -> list[nn.Parameter]:
        """The stacked factors of all layers, slot first."""
        return [p for layer in self.layers.values() for p in (layer.a_NRI, layer.b_NOR)]

    def in_features(self) -> dict[str, tuple[int, int]]:
        """Input and output width of each wrapped layer, by name."""
        return {name: (layer.in_features, layer.out_features) for name, layer in self.layers.items()}


def resolve_targets(model: PreTrainedModel, target_modules: str | tuple[str, ...]) -> list[str]:
    """Names of the layers that PEFT would adapt, in the model's order.

    Asks PEFT itself, on a copy of the model without memory.

    Raises:
        ValueError: no layer matches.
    """
    targets = target_modules if isinstance(target_modules, str) else list(target_modules)
    with torch.device("meta"):
        skeleton = type(model)(model.config)
        peft = LoraModel(skeleton, {"probe": LoraConfig(r=1, target_modules=targets)}, "probe")
    names: list[str] = list(peft.targeted_module_names)
    return [name for name, _ in model.named_modules() if name in set(names)]


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
