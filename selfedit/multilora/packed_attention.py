"""Causal attention of packed sequences, each over itself: one way for CPUs, one for GPUs, one for soft caps."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch.nn import functional

from selfedit.multilora.packed_batch import PackedBatch, SequenceGroup


def packed_causal(
    batch: PackedBatch,
    query_HTD: torch.Tensor,
    key_KTD: torch.Tensor,
    value_KTD: torch.Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> torch.Tensor:
    """Attention `[T, H, D]` of each sequence of the batch over itself.

    Args:
        window: how many positions, its own included, a token sees; None for all before it.
        softcap: scores pass through softcap * tanh(score / softcap).
    """
    if softcap is None and query_HTD.device.type == "cpu":
        out: torch.Tensor = _BySequence.apply(query_HTD, key_KTD, value_KTD, batch.lengths, scale, window)  # type: ignore[no-untyped-call]
        return out
    return _by_group(batch, query_HTD, key_KTD, value_KTD, scale, window, softcap)


class _BySequence(torch.autograd.Function):
    """A few small products for each sequence, and their derivatives by hand.

    On a CPU half the time of padded groups, forward and backward: nothing is padded, gathered or scattered, and
    the backward writes where it belongs. benchmarks/packed_attention.py measures it.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query_HTD: torch.Tensor,
        key_KTD: torch.Tensor,
        value_KTD: torch.Tensor,
        lengths: tuple[int, ...],
        scale: float,
        window: int | None,
    ) -> torch.Tensor:
        heads, total, width = query_HTD.shape
        kv_heads = key_KTD.shape[0]
        out_THD = query_HTD.new_empty(total, heads, value_KTD.shape[-1])
        weights_of = []
        start = 0
        for length in lengths:
            rows = slice(start, start + length)
            # The query heads that share a key head stand one below the other.
            query = query_HTD[:, rows].reshape(kv_heads, -1, width)
            scores = torch.bmm(query, key_KTD[:, rows].transpose(1, 2)).float().view(heads, length, length)
            scores.mul_(scale).add_(_causal_bias(length, window, scores.device))
            weights = scores.softmax(-1).to(value_KTD.dtype).view(kv_heads, -1, length)
            out_THD[rows] = torch.bmm(weights, value_KTD[:, rows]).view(heads, length, -1).transpose(0, 1)
            weights_of.append(weights)
            start += length
        ctx.lengths, ctx.scale = lengths, scale
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(query_HTD, key_KTD, value_KTD, *weights_of)
        return out_THD

    @staticmethod
    def backward(ctx: Any, grad_THD: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query_HTD, key_KTD, value_KTD, *weights_of = ctx.saved_tensors
        heads, _, width = query_HTD.shape
        kv_heads = key_KTD.shape[0]
        # Token first in memory, as the projections before it want them.
        grad_query, grad_key, grad_value = (
            torch.empty_like(t.transpose(0, 1), memory_format=torch.contiguous_format).transpose(0, 1)
            for t in (query_HTD, key_KTD, value_KTD)
        )
        start = 0
        for length, weights in zip(ctx.lengths, weights_of, strict=True):
            rows = slice(start, start + length)
            grad = grad_THD[rows].transpose(0, 1).reshape(kv_heads, -1, grad_THD.shape[-1])
            grad_value[:, rows] = torch.bmm(weights.transpose(1, 2), grad)
            grad_weights = torch.bmm(grad, value_KTD[:, rows].transpose(1, 2))
            inner = (grad_weights * weights).sum(-1, keepdim=True)
            grad_scores = grad_weights.sub_(inner).mul_(weights).mul_(ctx.scale)
            query = query_HTD[:, rows].reshape(kv_heads, -1, width)
            grad_key[:, rows] = torch.bmm(grad_scores.transpose(1, 2), query)
            grad_query[:, rows] = torch.bmm(grad_scores, key_KTD[:, rows]).view(heads, length, width)
            start += length
        return grad_query, grad_key, grad_value, None, None, None


def _by_group(
    batch: PackedBatch,
    query_HTD: torch.Tensor,
    key_KTD: torch.Tensor,
    value_KTD: torch.Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> torch.Tensor:
    """Sequences of like length together, right-padded: few kernels, whatever the number of sequences."""
    heads, total, _ = query_HTD.shape
    out_THD = query_HTD.new_zeros(total, heads, value_KTD.shape[-1])
    for group in batch.sequence_groups:
        query, key, value = (_pad(tensor, group) for tensor in (query_HTD, key_KTD, value_KTD))
        if softcap is None and (window is None or window >= group.longest):
            # Causal attention never looks at the gaps, which stand behind.
            out = functional.scaled_dot_product_attention(
                query, key, value, is_causal=True, scale=scale, enable_gqa=True
            )
        else:
            out = _plain_attention(query, key, value, scale, window, softcap)
        out_THD = out_THD.index_copy(0, group.packed, out.transpose(1, 2).flatten(0, 1).index_select(0, group.valid))
    return out_THD


def _pad(tensor_HTD: torch.Tensor, group: SequenceGroup) -> torch.Tensor:
    """The group's rows of a packed tensor, `[S, H, L, D]`."""
    rows = tensor_HTD.transpose(0, 1).index_select(0, group.padded_SL.flatten())
    return rows.view(*group.padded_SL.shape, *rows.shape[1:]).transpose(1, 2)


def _plain_attention(
    query_SHLD: torch.Tensor,
    key_SKLD: torch.Tensor,
    value_SKLD: torch.Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> torch.Tensor:
    """Causal attention step by step, for what no fused kernel does."""
    sequences, heads, length, width = query_SHLD.shape
    query = query_SHLD.reshape(sequences, key_SKLD.shape[1], -1, width)
    scores = (query @ key_SKLD.transpose(2, 3)).float().view(sequences, heads, length, length) * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    weights = (scores + _causal_bias(length, window, scores.device)).softmax(-1).to(value_SKLD.dtype)
    out = weights.view(sequences, key_SKLD.shape[1], -1, length) @ value_SKLD
    return out.view(sequences, heads, length, -1)


@lru_cache(maxsize=512)
def _causal_bias(length: int, window: int | None, device: torch.device) -> torch.Tensor:
    """`[L, L]`, fp32: minus infinity where a token does not see."""
    positions = torch.arange(length, device=device)
    distance = positions[:, None] - positions[None]
    hidden = distance < 0 if window is None else (distance < 0) | (distance >= window)
    return torch.zeros(length, length, device=device).masked_fill_(hidden, float("-inf"))
