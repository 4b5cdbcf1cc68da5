"""A frozen causal language model with n slots for LoRA adapters."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from torch import nn
from transformers import PreTrainedModel

from selfedit.errors import UserError, nearest
from selfedit.multilora import attention
from selfedit.multilora.kv_cache import KVCache
from selfedit.multilora.layers import Stack, StackedLoraLinear
from selfedit.multilora.layout import Layout, lay_out
from selfedit.multilora.linear import FrozenLinear
from selfedit.multilora.lower_layers import LowerLayers, lower_layers, upper_half
from selfedit.multilora.packed_attention import shares_beginnings
from selfedit.multilora.packed_batch import PackedBatch, SequenceDropout, packed_positions, use_batch
from selfedit.multilora.padded import can_pack, padded_hidden_states
from selfedit.types import UPPER_HALF, Adapter, LoraFactors, LoraSpec


class MultiLoraModel:
    """Runs packed sequences through one frozen base, each under its own adapter slot or under none.

    Wraps the model's linear layers in place; `unwrap` puts the model back as it was. Only one wrapper may hold a
    model at a time. All factors of a slot lie in one row of one buffer, so that clipping, optimizing and zeroing
    an adapter are one operation each, whatever the number of layers.

    Args:
        model: any decoder-only model of transformers.
        slots: how many adapters fit at once.
        rank: the largest rank that fits.
        layers: names of the layers to adapt; `resolve_targets` finds them as PEFT does.
        train: allocate gradients.
        packed: whether to run on packed tokens, or on right-padded rows; by default the former where it is possible.

    Attributes:
        weights_NP: the slots' factors, flat, fp32.
        grads_NP: their gradients; empty unless `train`.
        stale: slots whose gradients are of no more use. The next backward pass replaces them instead of adding.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        slots: int,
        rank: int,
        layers: Collection[str],
        train: bool = False,
        packed: bool | None = None,
    ) -> None:
        self.packed = can_pack(model) if packed is None else packed
        self.model, self.slots, self.rank = model, slots, rank
        self.shapes = layer_shapes(model, layers)
        self._fan_in_fan_out = fan_in_fan_out(model, layers)
        size = sum(rank * (inputs + outputs) for inputs, outputs in self.shapes.values())
        self.weights_NP = torch.zeros(slots, size, device=model.device, requires_grad=train)
        self.grads_NP = torch.zeros(slots if train else 0, size, device=model.device)
        self.stale = set(range(slots))
        self._scaling_N = torch.zeros(slots, device=model.device)
        self._stacks = self._cut_stacks()
        self._attention_before = model.config._attn_implementation
        if self.packed:
            attention.register()
            model.set_attn_implementation(attention.NAME)
        self._wrapped: dict[str, StackedLoraLinear | FrozenLinear] = {}
        for name, module in list(model.named_modules()):
            if name in self._stacks:
                stack = self._stacks[name]
                self._wrapped[name] = StackedLoraLinear(module, stack, self.weights_NP, self._scaling_N)
            elif self.packed and isinstance(module, nn.Linear):
                self._wrapped[name] = FrozenLinear(module)
        for name, wrapper in self._wrapped.items():
            _replace(model, name, wrapper)
        self._lower: LowerLayers | None = lower_layers(model, layers) if train and self.packed else None

    @property
    def device(self) -> torch.device:
        return self.model.device

    def unwrap(self) -> PreTrainedModel:
        """Take the adapters off and return the bare model."""
        if self._lower is not None:
            self._lower.close()
            self._lower = None
        for name, wrapper in self._wrapped.items():
            _replace(self.model, name, wrapper.base)
        self._wrapped = {}
        if self.packed:
            self.model.set_attn_implementation(self._attention_before)
        return self.model

    def batch(
        self,
        lengths: Sequence[int],
        slots: Sequence[int | None],
        cache: KVCache | None = None,
        rows: Sequence[Sequence[int]] = (),
        decode: bool = False,
        parents: tuple[int | None, ...] = (),
        pasts: tuple[int, ...] = (),
    ) -> PackedBatch:
        """A batch on this model's device; see `PackedBatch`."""
        cache_rows = tuple(map(tuple, rows))
        return PackedBatch(
            tuple(lengths), tuple(slots), self.device, cache, cache_rows, decode, parents=parents, pasts=pasts
        )

    def lay_out(self, sequences: Sequence[Sequence[int]], slots: Sequence[int | None], share: bool = True) -> Layout:
        """How sequences lie in a pass; what they begin with alike is shared where this model can, and if `share`."""
        return lay_out(sequences, slots, share and self.shares_beginnings)

    @property
    def shares_beginnings(self) -> bool:
        """Whether what sequences begin with alike need be computed only once."""
        return self.packed and shares_beginnings(self.model)

    @property
    def has_lower_layers(self) -> bool:
        """Whether there are decoder layers below the first adapted one, which training can leave out."""
        return self._lower is not None

    @torch.no_grad()
    def lower_states(self, tokens: Sequence[int], batch: PackedBatch) -> torch.Tensor:
        """What the lower layers make of packed tokens, `[T, hidden]`: where the first adapted layer begins."""
        assert self._lower is not None
        with self._lower.below() as border:
            self.hidden_states(tokens, batch)
        assert border.lower_TH is not None
        return border.lower_TH

    def hidden_states(
        self,
        tokens: Sequence[int],
        batch: PackedBatch,
        starts: Sequence[int] | None = None,
        lower_TH: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Last hidden states `[T, hidden]` of packed tokens.

        Args:
            starts: the sequences' first positions; by default those that the batch says.
            lower_TH: what `lower_states` gave for the same tokens: the layers below are left out.
        """
        if lower_TH is not None:
            assert self._lower is not None
            with self._lower.above(lower_TH):
                return self.hidden_states(tokens, batch, starts)
        if not self.packed:
            return padded_hidden_states(self.model, tokens, batch)
        positions = packed_positions(batch.lengths, starts or batch.offsets).to(self.device)
        ids = torch.tensor([tokens], device=self.device)
        decoder: nn.Module = self.model.base_model
        with use_batch(batch):
            output = decoder(input_ids=ids, position_ids=positions, use_cache=False)
        hidden: torch.Tensor = output.last_hidden_state[0]
        return hidden

    def logits(self, hidden_TH: torch.Tensor) -> torch.Tensor:
        """Next-token logits `[T, vocab]`, fp32."""
        logits: torch.Tensor = self.model.get_output_embeddings()(hidden_TH).float()
        softcap = getattr(self.model.config, "final_logit_softcapping", None)
        return logits if softcap is None else torch.tanh(logits / softcap) * softcap

    def training_batch(
        self,
        lengths: Sequence[int],
        slots: Sequence[int | None],
        dropouts: Sequence[SequenceDropout | None] = (),
        parents: tuple[int | None, ...] = (),
    ) -> PackedBatch:
        """A batch whose backward pass adds to the slots' gradients, or replaces them where they are stale."""
        used = {slot for slot in slots if slot is not None}
        overwrite = used <= self.stale
        if not overwrite:
            for slot in used & self.stale:
                self.grads_NP[slot] = 0
        self.stale -= used
        lengths, slots, dropouts = tuple(lengths), tuple(slots), tuple(dropouts)
        return PackedBatch(lengths, slots, self.device, overwrite=overwrite, dropouts=dropouts, parents=parents)

    @torch.no_grad()
    def load(self, slot: int, adapter: Adapter) -> None:
        """Put an adapter into a slot.

        Raises:
            ValueError: the adapter has layers that are not adapted here, or a rank above `rank`.
        """
        unknown = adapter.factors.keys() - self._stacks.keys()
        rank = adapter.lora.rank
        if unknown or rank > self.rank:
            raise ValueError(f"adapter {adapter.recipe_id} does not fit: rank {rank}, unknown layers {unknown}")
        self._scaling_N[slot] = adapter.lora.scaling
        self.weights_NP[slot] = 0
        for name, factors in adapter.factors.items():
            stack = self._stacks[name]
            stack.a_NRI[slot, :rank] = factors.a_RI
            stack.b_NOR[slot, :, :rank] = factors.b_OR

    @torch.no_grad()
    def read(self, slot: int, recipe_id: str, lora: LoraSpec, losses: tuple[float, ...] = ()) -> Adapter:
        """Copy a slot out as an adapter on the CPU."""
        factors = {name: _copy_slot(stack.a_NRI, stack.b_NOR, slot, lora.rank) for name, stack in self._stacks.items()}
        return Adapter(recipe_id, lora, factors, losses, self._fan_in_fan_out)

    def gradients(self, slot: int, rank: int) -> dict[str, LoraFactors]:
        """A copy of a slot's gradients by layer, shaped as the factors they belong to."""
        return {
            name: _copy_slot(stack.grad_a_NRI, stack.grad_b_NOR, slot, rank) for name, stack in self._stacks.items()
        }

    def _cut_stacks(self) -> dict[str, Stack]:
        """Cut each layer's factors, and their gradients, out of the flat buffers."""
        stacks: dict[str, Stack] = {}
        start = 0
        for name, (inputs, outputs) in self.shapes.items():
            middle, stop = start + self.rank * inputs, start + self.rank * (inputs + outputs)
            views = [
                view
                for flat in (self.weights_NP.detach(), self.grads_NP)
                for view in (
                    flat[:, start:middle].unflatten(1, (self.rank, inputs)),
                    flat[:, middle:stop].unflatten(1, (outputs, self.rank)),
                )
            ]
            stacks[name] = Stack(*views)
            start = stop
        return stacks


def resolve_targets(model: PreTrainedModel, target_modules: str | tuple[str, ...]) -> list[str]:
    """Names of the layers that PEFT would adapt, in the model's order.

    Asks PEFT itself, on a copy of the model without memory; `UPPER_HALF` is ours.

    Raises:
        UserError: no layer matches, or none that one of several names stands for, which PEFT passes over.
    """
    if target_modules == UPPER_HALF:
        return upper_half(resolve_targets(model, "all-linear"))
    targets = target_modules if isinstance(target_modules, str) else list(target_modules)
    modules = [name for name, _ in model.named_modules()]
    ends = {name.rpartition(".")[2] for name, module in model.named_modules() if hasattr(module, "weight")}
    for target in targets if isinstance(targets, list) else ():
        if not any(name == target or name.endswith(f".{target}") for name in modules):
            raise UserError(f"target_modules: the model has no layer '{target}'. {nearest(target, ends)}")
    # What PEFT says hangs on nothing else; for a model of 30 layers it takes seconds.
    key = (type(model), model.config.to_json_string(use_diff=False), target_modules)
    if key not in _targeted:
        _targeted[key] = _targeted_by_peft(model, targets)
    return [name for name in modules if name in _targeted[key]]


_targeted: dict[tuple[type[PreTrainedModel], str, str | tuple[str, ...]], frozenset[str]] = {}


def _targeted_by_peft(model: PreTrainedModel, targets: str | list[str]) -> frozenset[str]:
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT tells that GPT-2's layers are transposed; here only names matter.
        skeleton = type(model)(model.config)
        try:
            peft = LoraModel(skeleton, {"probe": LoraConfig(r=1, target_modules=targets)}, "probe")
        except ValueError as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"target_modules: {targets!r} names no layers that LoRA can adapt ({reason}).") from error
    return frozenset(peft.targeted_module_names)


def layer_shapes(model: PreTrainedModel, layers: Collection[str]) -> dict[str, tuple[int, int]]:
    """Input and output width of the named linear layers, in the model's order."""
    shapes = {}
    for name, module in model.named_modules():
        if name in layers:
            weight: torch.Tensor = module.weight
            # transformers' Conv1D stores its weight transposed.
            outputs, inputs = weight.shape if isinstance(module, nn.Linear) else weight.T.shape
            shapes[name] = (inputs, outputs)
    return shapes


def fan_in_fan_out(model: PreTrainedModel, layers: Collection[str]) -> bool:
    """Whether the named layers of a bare model store their weights transposed, as GPT-2's do: PEFT has to be told."""
    return any(not isinstance(model.get_submodule(name), nn.Linear) for name in layers)


def _copy_slot(a_NRI: torch.Tensor, b_NOR: torch.Tensor, slot: int, rank: int) -> LoraFactors:
    return LoraFactors(a_NRI[slot, :rank].to("cpu", copy=True), b_NOR[slot, :, :rank].contiguous().to("cpu", copy=True))


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
