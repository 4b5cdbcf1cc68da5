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
                logits = head(hidden)
            grad, loss_t = _cross_entropy_gradient(logits.detach(), softcap, targets_T[rows], weights_T[rows])
            grad_TH[rows] = torch.autograd.grad(logits, hidden, grad.to(logits.dtype))[0]
            losses.append(loss_t)
        ctx.save_for_backward(grad_TH)
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, _: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return ctx.saved_tensors[0], None, None, None, None, None


def _cross_entropy_gradient(
    logits: torch.Tensor, softcap: float | None, targets_T: torch.Tensor, weights_T: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradient of the weighted cross-entropy by the logits, and each token's loss; both fp32."""
    capped = logits.float() if softcap is None else torch.tanh(logits.float() / softcap) * softcap
    logprobs_TV = capped.log_softmax(-1)
    loss_T = -logprobs_TV.gather(1, targets_T[:, None])[:, 0]
    grad_TV = logprobs_TV.exp_()
    grad_TV.scatter_add_(1, targets_T[:, None], grad_TV.new_full((len(targets_T), 1), -1.0))
    grad_TV *= weights_T[:, None]
    if softcap is not None:
        grad_TV *= 1 - (capped / softcap) ** 2
    return grad_TV, loss_T


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
