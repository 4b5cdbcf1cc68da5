"""A frozen linear layer with n LoRA adapters stacked on it; each token runs under its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from selfedit.multilora.linear import frozen_linear
from selfedit.multilora.layout import Span, active_layout


class StackedLoraLinear(nn.Module):
    """Wraps a frozen `nn.Linear` or transformers `Conv1D` with `slots` adapters of up to `rank`.

    Factors are stacked: `a_NRI` [slots, rank, in] and `b_NOR` [slots, out, rank], fp32. A slot whose adapter has
    a smaller rank leaves the rest zero, where its gradient is zero as well.
    """

    def __init__(self, base: nn.Module, slots: int, rank: int, scaling_N: list[float]) -> None:
        super().__init__()
        self.base = base
        weight: torch.Tensor = base.weight  # type: ignore[assignment]
        # Conv1D stores its weight transposed.
        self.out_features, self.in_features = weight.shape if isinstance(base, nn.Linear) else weight.T.shape
        device = weight.device
        self.a_NRI = nn.Parameter(torch.zeros(slots, rank, self.in_features, device=device))
        self.b_NOR = nn.Parameter(torch.zeros(slots, self.out_features, rank, device=device))
        # One list shared by all layers of a model, so that a slot's scaling changes in one place.
        self.scaling_N = scaling_N

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        base_out = frozen_linear(self.base, x)
        layout = active_layout()
        if layout is None or not layout.spans:
            return base_out
        out_TO = base_out.reshape(-1, self.out_features)
        x_TI = x.reshape(-1, self.in_features)
        scaling = [self.scaling_N[span.slot] for span in layout.spans]
        out_TO = _AddLowRank.apply(out_TO, x_TI, self.a_NRI, self.b_NOR, layout.spans, scaling)  # type: ignore[no-untyped-call]
        return out_TO.view(base_out.shape)


class _AddLowRank(torch.autograd.Function):
    """out[span] + scaling * (x[span] @ A[slot].T) @ B[slot].T for each span, in place on `out`.

    One function instead of autograd's own graph: it stores the input once and the rank-sized hidden state, and
    its backward adds each slot's gradients straight into the parameters' `grad` buffers, which whoever trains
    allocates. Returning gradients instead would write every slot's, used in this pass or not.
    """

    @staticmethod
    def forward(
        ctx: Any,
        out_TO: torch.Tensor,
        x_TI: torch.Tensor,
        a_NRI: torch.Tensor,
        b_NOR: torch.Tensor,
        spans: tuple[Span, ...],
        scaling: list[float],
    ) -> torch.Tensor:
        dtype = x_TI.dtype
        hidden_TR = x_TI.new_empty(x_TI.shape[0], a_NRI.shape[1])
        for span, scale in zip(spans, scaling, strict=True):
            rows = slice(span.start, span.stop)
            torch.mm(x_TI[rows], a_NRI[span.slot].to(dtype).T, out=hidden_TR[rows])
            out_TO[rows].addmm_(hidden_TR[rows], b_NOR[span.slot].to(dtype).T, alpha=scale)
        ctx.mark_dirty(out_TO)
        ctx.spans, ctx.scaling = spans, scaling
        ctx.a_NRI, ctx.b_NOR = a_NRI, b_NOR
        ctx.save_for_backward(x_TI, hidden_TR)
        return out_TO

    @staticmethod
    def backward(ctx: Any, grad_TO: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        x_TI, hidden_TR = ctx.saved_tensors
        a_NRI, b_NOR, dtype = ctx.a_NRI, ctx.b_NOR, x_TI.dtype
        grad_x = torch.zeros_like(x_TI) if ctx.needs_input_grad[1] else None
        for span, scale in zip(ctx.spans, ctx.scaling, strict=True):
            rows, slot = slice(span.start, span.stop), span.slot
            grad_hidden = torch.mm(grad_TO[rows], b_NOR[slot].to(dtype)).mul_(scale)
            _accumulate(a_NRI.grad[slot], grad_hidden.T, x_TI[rows])
            _accumulate(b_NOR.grad[slot], grad_TO[rows].T, hidden_TR[rows], scale)
            if grad_x is not None:
                torch.mm(grad_hidden, a_NRI[slot].to(dtype), out=grad_x[rows])
        return grad_TO, grad_x, None, None, None, None


def _accumulate(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor, scale: float = 1.0) -> None:
    """total += scale * left @ right, where `total` is fp32 and the factors may be narrower."""
    if left.dtype == total.dtype:
        total.addmm_(left, right, alpha=scale)
    else:
        total.add_(torch.mm(left, right), alpha=scale)
