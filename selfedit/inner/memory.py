"""How many adapters and tokens fit into memory, worked out before the first step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from transformers import PreTrainedModel

from selfedit.errors import UserError
from selfedit.multilora.model import MultiLoraModel, layer_shapes
from selfedit.types import Recipe

# Factors, gradients and Adam's two moments, all fp32.
_BYTES_A_FACTOR = 16
# Of what is free; the allocator and other programs need some.
_USABLE = 0.85
_LOSS_CHUNK = 128


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes, and what they allow.

    Attributes:
        per_slot: of one adapter with its gradient and optimizer state.
        per_token: of the activations kept for the backward pass.
        fixed: what a pass needs whatever its size, the logits of one chunk above all.
        slots: adapters at once.
        token_budget: tokens of one pass.
    """

    per_slot: int
    per_token: int
    fixed: int
    slots: int
    token_budget: int

    @property
    def total(self) -> int:
        """Beyond the model's own weights."""
        return self.slots * self.per_slot + self.token_budget * self.per_token + self.fixed


def plan_memory(
    model: PreTrainedModel,
    recipes: Sequence[Recipe],
    layers: Sequence[str],
    slots: int,
    token_budget: int,
    limit: int | None = None,
) -> MemoryPlan:
    """The most slots and tokens a pass, up to those asked for, that fit.

    Adapters get at most half of the memory; the longest example must fit into a pass.

    Args:
        limit: bytes to use beyond the model's weights; by default most of what is free.

    Raises:
        UserError: not even one adapter and one example fit.
    """
    available = int(free_memory(model.device) * _USABLE) if limit is None else limit
    rank = max(recipe.hyperparameters.lora.rank for recipe in recipes)
    widths = sum(sum(shape) for shape in layer_shapes(model, layers).values())
    per_slot = _BYTES_A_FACTOR * rank * widths
    lengths = [len(example.tokens) for recipe in recipes for example in recipe.examples]
    per_token = activation_bytes(model, layers, rank, _typical(lengths))
    embedding: torch.Tensor = model.get_input_embeddings().weight  # type: ignore[assignment]
    fixed = 3 * 4 * _LOSS_CHUNK * embedding.shape[0]
    slots = max(1, min(slots, len(recipes), available // 2 // per_slot))
    room = available - fixed - slots * per_slot
    tokens = min(token_budget, room // per_token)
    if tokens < max(lengths) and token_budget >= max(lengths):
        slots, tokens = 1, min(token_budget, (available - fixed - per_slot) // per_token)
    if tokens < min(max(lengths), token_budget):
        need = fixed + per_slot + max(lengths) * per_token
        raise UserError(
            f"Training needs {need / 2**30:.1f} GiB beside the model for its longest example of {max(lengths)} tokens, "
            f"and {available / 2**30:.1f} GiB are there. Use a smaller --rank, shorter passages or a smaller model."
        )
    return MemoryPlan(per_slot, per_token, fixed, slots, tokens)


def activation_bytes(model: PreTrainedModel, layers: Sequence[str], rank: int, length: int) -> int:
    """Bytes a token that autograd keeps, counted in a forward pass over one sequence of `length` tokens."""
    multi = MultiLoraModel(model, 1, rank, layers, train=True)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    weights |= {buffer.untyped_storage().data_ptr() for buffer in (multi.weights_NP, multi.grads_NP)}
    seen: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    try:
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            # Alive until all is counted, so that no address comes twice.
            hidden = multi.hidden_states([0] * length, multi.training_batch([length], [0]))
        del hidden
    finally:
        multi.unwrap()
    return max(1, sum(seen.values()) // length)


def free_memory(device: torch.device) -> int:
    """Bytes that this process may still take on the device, a container's limit included."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (int(Path(f"/sys/fs/cgroup/memory.{what}").read_text()) for what in ("max", "current"))
    except (OSError, ValueError):
        return free
    return min(free, max(0, limit - used))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: torch has a type for it on GPUs, and only words on CPUs."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _typical(lengths: Sequence[int]) -> int:
    """The length of the sequence that a token is in, on average: attention's share grows with it."""
    return max(2, round(sum(length**2 for length in lengths) / sum(lengths)))
