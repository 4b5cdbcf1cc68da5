"""Cross-entropy that never holds the logits of all tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from selfedit.types import Example


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Computes the gradient of the hidden states in the forward pass, chunk by chunk, and stores only that."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_TH: torch.Tensor,
        head: nn.Module,
        softcap: float | None,
        ids_TK: torch.Tensor,
        probabilities_TK: torch.Tensor,
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
            grad, loss_t = _cross_entropy_gradient(
                logits.detach(), softcap, ids_TK[rows], probabilities_TK[rows], weights_T[rows]
            )
            grad_TH[rows] = torch.autograd.grad(logits, hidden, grad.to(logits.dtype))[0]
            losses.append(loss_t)
        ctx.save_for_backward(grad_TH)
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, _: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return ctx.saved_tensors[0], None, None, None, None, None, None


def _cross_entropy_gradient(
    logits: torch.Tensor,
    softcap: float | None,
    ids_TK: torch.Tensor,
    probabilities_TK: torch.Tensor,
    weights_T: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradient of the weighted cross-entropy by the logits, and each token's loss; both fp32."""
    capped = logits.float() if softcap is None else torch.tanh(logits.float() / softcap) * softcap
    logprobs_TV = capped.log_softmax(-1)
    loss_T = -(logprobs_TV.gather(1, ids_TK) * probabilities_TK).sum(1)
    grad_TV = logprobs_TV.exp_()
    if ids_TK.shape[1] > 1:  # Else the one target has all of the probability.
        grad_TV *= probabilities_TK.sum(1, keepdim=True)
    grad_TV.scatter_add_(1, ids_TK, -probabilities_TK)
    grad_TV *= weights_T[:, None]
    if softcap is not None:
        grad_TV *= 1 - (capped / softcap) ** 2
    return grad_TV, loss_T


def chunked_cross_entropy(
    hidden_TH: torch.Tensor,
    head: nn.Module,
    ids_TK: torch.Tensor,
    probabilities_TK: torch.Tensor,
    weights_T: torch.Tensor,
    softcap: float | None = None,
    chunk: int = 128,
) -> torch.Tensor:
    """Per-token cross-entropy `[T]`, fp32, of a frozen `head`.

    Its gradient is that of `(loss_T * weights_T).sum()`, whatever gradient arrives: call `.sum().backward()`.

    Args:
        hidden_TH: last hidden states of the labelled positions only.
        ids_TK, probabilities_TK: the distribution that each position is to predict; with K of 1, one token.
        chunk: tokens whose logits are held at once.
    """
    losses: torch.Tensor = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden_TH, head, softcap, ids_TK, probabilities_TK, weights_T, chunk
    )
    return losses


def targets(example: Example) -> tuple[torch.Tensor, torch.Tensor]:
    """What each token but the first is to be: ids and probabilities `[T - 1, K]`, filled up with probability 0."""
    tokens = example.tokens[1:]
    if example.teacher is None:
        return torch.tensor(tokens)[:, None], torch.ones(len(tokens), 1)
    ids = [torch.tensor(row or (token,)) for token, row in zip(tokens, example.teacher.ids[1:], strict=True)]
    rows = zip(example.teacher.ids[1:], example.teacher.probabilities[1:], strict=True)
    probabilities = [torch.tensor(values if row else (1.0,)) for row, values in rows]
    return pad_sequence(ids, batch_first=True), pad_sequence(probabilities, batch_first=True)


def pad_and_join(parts: list[torch.Tensor]) -> torch.Tensor:
    """Rows `[T, K]` of different K below each other, filled up with zeros."""
    width = max(part.shape[1] for part in parts)
    return torch.cat([nn.functional.pad(part, (0, width - part.shape[1])) for part in parts])
