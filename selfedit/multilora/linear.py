"""Frozen linear layers on a CPU, for the handful of rows that decoding brings."""

from __future__ import annotations

import torch
from torch import nn

# MKL's sgemm with a short left side is slower than the transposed product: benchmarks/short_products.py measures it.
# From 64 rows on they are equal.
_SHORT = range(8, 56)


def frozen_linear(base: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """`base(x)`, by the faster of two equal products."""
    rows = x.numel() // x.shape[-1]
    if (
        torch.is_grad_enabled()
        or rows not in _SHORT
        or not isinstance(base, nn.Linear)
        or x.device.type != "cpu"
        or x.dtype != torch.float32
    ):
        out: torch.Tensor = base(x)
        return out
    product_OT = torch.mm(base.weight, x.reshape(rows, -1).T)
    if base.bias is not None:
        product_OT += base.bias[:, None]
    return product_OT.T.contiguous().view(*x.shape[:-1], -1)


class FrozenLinear(nn.Module):
    """A linear layer without adapters that goes through `frozen_linear`."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return frozen_linear(self.base, x)
