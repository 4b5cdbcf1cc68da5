"""Causal attention of packed sequences, each over itself: one way for CPUs, one for GPUs, one for soft caps."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch.nn import functional
from transformers import PreTrainedModel

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
    """Attention `[T, H, D]` of each sequence of the batch over itself, and over the one that it goes on from.

    Args:
        window: how many positions, its own included, a token sees; None for all before it.
        softcap: scores pass through softcap * tanh(score / softcap).
    """
    if softcap is None and query_HTD.device.type == "cpu":
        out: torch.Tensor = _BySequence.apply(query_HTD, key_KTD, value_KTD, _places(batch), scale, window)  # type: ignore[no-untyped-call]
        return out
    assert not any(parent is not None for parent in batch.parents), "see shares_beginnings"
    return _by_group(batch, query_HTD, key_KTD, value_KTD, scale, window, softcap)


def continued_causal(
    query_HTD: torch.Tensor,
    key_KLD: torch.Tensor,
    value_KLD: torch.Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> torch.Tensor:
    """Attention `[T, H, D]` of the last T of a sequence's L positions over all of them. Without gradient."""
    heads, length, width = query_HTD.shape
    if window is not None:  # What no token of these sees is not looked at.
        first = max(0, key_KLD.shape[1] - length - window + 1)
        key_KLD, value_KLD = key_KLD[:, first:], value_KLD[:, first:]
    kv_heads, seen, _ = key_KLD.shape
    scores = torch.bmm(query_HTD.reshape(kv_heads, -1, width), key_KLD.transpose(1, 2)).float()
    scores = scores.view(heads, length, seen).mul_(scale)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    _hide_unseen(scores, window)
    weights = scores.softmax(-1).to(value_KLD.dtype).view(kv_heads, -1, seen)
    return torch.bmm(weights, value_KLD).view(heads, length, -1).transpose(0, 1)


def shares_beginnings(model: PreTrainedModel) -> bool:
    """Whether sequences may go on from another one of their pass: on a CPU, which has the most to save."""
    softcap = getattr(model.config.get_text_config(), "attn_logit_softcapping", None)
    return model.device.type == "cpu" and softcap is None


Place = tuple[slice, slice]
"""A sequence's rows, and those of what it goes on from, which are none where it begins by itself."""


def _places(batch: PackedBatch) -> tuple[Place, ...]:
    rows = [slice(start, start + length) for start, length in zip(batch.starts, batch.lengths, strict=True)]
    parents = batch.parents or (None,) * len(rows)
    return tuple((own, slice(0, 0) if p is None else rows[p]) for own, p in zip(rows, parents, strict=True))


def _seen(tensor_HTD: torch.Tensor, place: Place) -> torch.Tensor:
    """What a sequence sees: what it goes on from, and itself."""
    own, before = place
    if before.stop == before.start:
        return tensor_HTD[:, own]
    return torch.cat([tensor_HTD[:, before], tensor_HTD[:, own]], 1)


def _put(tensor_HTD: torch.Tensor, place: Place, part_HLD: torch.Tensor) -> None:
    """The way back: to itself alone, and what belongs to what it goes on from to that, which others share."""
    own, before = place
    size = before.stop - before.start
    tensor_HTD[:, own] = part_HLD[:, size:]
    if size:
        tensor_HTD[:, before] += part_HLD[:, :size]


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
        places: tuple[Place, ...],
        scale: float,
        window: int | None,
    ) -> torch.Tensor:
        heads, total, width = query_HTD.shape
        kv_heads = key_KTD.shape[0]
        out_THD = query_HTD.new_empty(total, heads, value_KTD.shape[-1])
        weights_of = []
        for place in places:
            rows, _ = place
            length = rows.stop - rows.start
            key, value = _seen(key_KTD, place), _seen(value_KTD, place)
            seen = key.shape[1]
            # The query heads that share a key head stand one below the other.
            query = query_HTD[:, rows].reshape(kv_heads, -1, width)
            scores = torch.bmm(query, key.transpose(1, 2)).float().view(heads, length, seen)
            _hide_unseen(scores.mul_(scale), window)
            weights = scores.softmax(-1).to(value.dtype).view(kv_heads, -1, seen)
            out_THD[rows] = torch.bmm(weights, value).view(heads, length, -1).transpose(0, 1)
            weights_of.append(weights)
        ctx.places, ctx.scale = places, scale
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
        for place, weights in zip(ctx.places, weights_of, strict=True):
            rows, _ = place
            grad = grad_THD[rows].transpose(0, 1).reshape(kv_heads, -1, grad_THD.shape[-1])
            _put(grad_value, place, torch.bmm(weights.transpose(1, 2), grad))
            grad_weights = torch.bmm(grad, _seen(value_KTD, place).transpose(1, 2))
            inner = (grad_weights * weights).sum(-1, keepdim=True)
            grad_scores = grad_weights.sub_(inner).mul_(weights).mul_(ctx.scale)
            query = query_HTD[:, rows].reshape(kv_heads, -1, width)
            _put(grad_key, place, torch.bmm(grad_scores.transpose(1, 2), query))
            grad_query[:, rows] = torch.bmm(grad_scores, _seen(key_KTD, place)).view(heads, -1, width)
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


def _hide_unseen(scores_HLS: torch.Tensor, window: int | None) -> None:
    """Minus infinity where the last L of S positions do not see one, in place."""
    length, seen = scores_HLS.shape[-2:]
    if window is None or window >= seen:  # They see all that stands before the first of them.
        scores_HLS[..., seen - length :].add_(_causal_bias(length, None, scores_HLS.device))
    else:
        scores_HLS.add_(_causal_bias(seen, window, scores_HLS.device)[seen - length :])


def _causal_bias(length: int, window: int | None, device: torch.device) -> torch.Tensor:
    """`[L, L]`, fp32: minus infinity where a token does not see."""
    return _largest_bias(1 << (length - 1).bit_length(), window, device)[:length, :length]


@lru_cache(maxsize=64)
def _largest_bias(size: int, window: int | None, device: torch.device) -> torch.Tensor:
    """Of sizes that are powers of two, of which there are few: each length's own would fill the memory of a server."""
    positions = torch.arange(size, device=device)
    distance = positions[:, None] - positions[None]
    hidden = distance < 0 if window is None else (distance < 0) | (distance >= window)
    return torch.zeros(size, size, device=device).masked_fill_(hidden, float("-inf"))
