"""A frozen linear layer with n LoRA adapters stacked on it; each token runs under its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from selfedit.multilora.linear import frozen_linear
from selfedit.multilora.packed_batch import active_batch
from selfedit.multilora.slot_tokens import SlotTokens


@dataclass(frozen=True)
class Stack:
    """The stacked factors of one layer, views of the model's flat buffers.

    `a_NRI` [slots, rank, in] and `b_NOR` [slots, out, rank] are fp32, as are their gradients, which have no slots
    unless the model is to be trained. A slot whose adapter has a smaller rank leaves the rest zero, where its gradient
    is zero too.
    """

    a_NRI: torch.Tensor
    b_NOR: torch.Tensor
    grad_a_NRI: torch.Tensor
    grad_b_NOR: torch.Tensor


class StackedLoraLinear(nn.Module):
    """Wraps a frozen `nn.Linear` or transformers `Conv1D`.

    Args:
        flat: the buffer that the stack is cut from; it carries `requires_grad`, and thereby tells autograd that
            the output depends on something trained.
        scaling_N: each slot's alpha / rank; one tensor shared by all layers.
    """

    def __init__(self, base: nn.Module, stack: Stack, flat: torch.Tensor, scaling_N: torch.Tensor) -> None:
        super().__init__()
        self.base, self.stack, self._flat, self._scaling_N = base, stack, flat, scaling_N

    @property
    def weight(self) -> torch.Tensor:
        """The frozen weight, for models that look at it."""
        weight: torch.Tensor = self.base.weight  # type: ignore[assignment]
        return weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        base_out = frozen_linear(self.base, x)
        batch = active_batch()
        if batch is None or batch.slot_tokens is None:
            return base_out
        rows = batch.slot_tokens
        out_TO = base_out.reshape(-1, base_out.shape[-1])
        x_TI = batch.drop(x.reshape(-1, x.shape[-1]))
        inputs = rows.line_up_inputs(x_TI if any(batch.dropouts) else x)
        adapted_TO: torch.Tensor = _AddLowRank.apply(  # type: ignore[no-untyped-call]
            out_TO, x_TI, self._flat, self.stack, rows, self._scaling_N, *inputs
        )
        return adapted_TO.view(base_out.shape)


class _AddLowRank(torch.autograd.Function):
    """out[row] + scaling * B[slot] @ A[slot] @ x[row] for each row that has a slot, in place on `out`.

    `inputs` are the rows of `x_TI` by group of slots. The backward puts the factors' gradients straight into the
    stack's buffers.
    """

    @staticmethod
    def forward(
        ctx: Any,
        out_TO: torch.Tensor,
        x_TI: torch.Tensor,
        flat: torch.Tensor,
        stack: Stack,
        rows: SlotTokens,
        scaling_N: torch.Tensor,
        *inputs: torch.Tensor,
    ) -> torch.Tensor:
        dtype = x_TI.dtype
        hiddens = []
        for group, x_SLI in zip(rows.groups, inputs, strict=True):
            hidden_SLR = torch.bmm(x_SLI, group.pick(stack.a_NRI).to(dtype).transpose(1, 2))
            hidden_SLR *= group.pick(scaling_N)[:, None, None].to(dtype)
            group.add_back(out_TO, hidden_SLR, group.pick(stack.b_NOR).to(dtype).transpose(1, 2))
            hiddens.append(hidden_SLR)
        ctx.mark_dirty(out_TO)
        ctx.stack, ctx.rows, ctx.scaling_N, ctx.inputs_width = stack, rows, scaling_N, x_TI.shape[-1]
        ctx.save_for_backward(*inputs, *hiddens)
        return out_TO

    @staticmethod
    def backward(ctx: Any, grad_TO: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        saved = ctx.saved_tensors
        stack, rows, dtype = ctx.stack, ctx.rows, grad_TO.dtype
        count = len(rows.groups)
        grad_x = grad_TO.new_zeros(grad_TO.shape[0], ctx.inputs_width) if ctx.needs_input_grad[1] else None
        for group, x_SLI, hidden_SLR in zip(rows.groups, saved[:count], saved[count:], strict=True):
            grad_SLO = group.line_up(grad_TO, zero_gaps=True)
            grad_hidden_SLR = torch.bmm(grad_SLO, group.pick(stack.b_NOR).to(dtype))
            grad_hidden_SLR *= group.pick(ctx.scaling_N)[:, None, None].to(dtype)
            group.put_product(stack.grad_a_NRI, grad_hidden_SLR.transpose(1, 2), x_SLI, rows.overwrite)
            group.put_product(stack.grad_b_NOR, grad_SLO.transpose(1, 2), hidden_SLR, rows.overwrite)
            if grad_x is not None:
                group.add_back(grad_x, grad_hidden_SLR, group.pick(stack.a_NRI).to(dtype))
        return grad_TO, grad_x, *(None,) * (4 + count)
