"""Cross-entropy that never holds the logits of all tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Computes the gradient of the hidden states in the forward pass, chunk by chunk, and stores only that."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_TH: torch.Tensor,
        head: nn.Module,
        softcap: float | None,
        targets_T: torch.Tensor,
        weights_T: torch.Tensor,
        chunk: int,
    ) -> torch.Tensor:
        grad_TH = torch.empty_like(hidden_TH)
        losses = []
        for start in range(0, hidden_TH.shape[0], chunk):
            rows = slice(start, start + chunk)
            with torch.enable_grad():
                hidden = hidden_TH[rows].detach().requires_grad_()
                logits = head(hidden).float()
                if softcap is not None:
                    logits = torch.tanh(logits / softcap) * softcap
                loss_t = nn.functional.cross_entropy(logits, targets_T[rows], reduction="none")
            grad_TH[rows] = torch.autograd.grad(loss_t, hidden, weights_T[rows])[0]
            losses.append(loss_t.detach())
        ctx.save_for_backward(grad_TH)
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, _: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return ctx.saved_tensors[0], None, None, None, None, None


def chunked_cross_entropy(
    hidden_TH: torch.Tensor,
    head: nn.Module,
    targets_T: torch.Tensor,
    weights_T: torch.Tensor,
    softcap: float | None = None,
    chunk: int = 128,
) -> torch.Tensor:
    """Per-token cross-entropy `[T]`, fp32, of a frozen `head`.

    Its gradient is that of `(loss_T * weights_T).sum()`, whatever gradient arrives: call `.sum().backward()`.

    Args:
        hidden_TH: last hidden states of the labelled positions only.
        chunk: tokens whose logits are held at once.
    """
    losses: torch.Tensor = _ChunkedCrossEntropy.apply(hidden_TH, head, softcap, targets_T, weights_T, chunk)  # type: ignore[no-untyped-call]
    return losses
