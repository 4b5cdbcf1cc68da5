"""Attention over packed sequences, registered with transformers under the name `selfedit`.

Never crosses sequences, needs no mask tensor, and keeps keys and values in the batch's cache where it has one.
Follows the options that model families pass: grouped heads, sliding windows, soft caps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from selfedit.multilora.kv_cache import KVCache
from selfedit.multilora.packed_attention import continued_causal, packed_causal
from selfedit.multilora.packed_batch import PackedBatch, active_batch

NAME = "selfedit"


def packed_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function that transformers calls: `[1, heads, T, head_dim]` in, `[1, T, heads, head_dim]` out.

    Raises:
        NotImplementedError: the model uses attention sinks, which this function does not compute.
    """
    batch = active_batch()
    if batch is None:
        raise RuntimeError("a model with packed attention was run outside of use_batch(...)")
    if s_aux is not None:
        raise NotImplementedError("attention sinks are not supported")
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    query_HTD, key_KTD, value_KTD = query[0], key[0], value[0]
    layer: int = module.layer_idx  # type: ignore[assignment]
    if batch.decode:
        out_THD = _decode(batch, layer, query_HTD * scale, key_KTD, value_KTD, sliding_window, softcap)
    else:
        if batch.cache is not None:
            _remember(batch, batch.cache, layer, key_KTD, value_KTD)
        if any(batch.pasts):
            out_THD = _continue(batch, layer, query_HTD, scale, sliding_window, softcap)
        else:
            out_THD = packed_causal(batch, query_HTD, key_KTD, value_KTD, scale, sliding_window, softcap)
    return out_THD[None], None


def _remember(batch: PackedBatch, cache: KVCache, layer: int, key_KTD: torch.Tensor, value_KTD: torch.Tensor) -> None:
    """Write each sequence's keys and values into its rows of the cache."""
    lengths = list(batch.lengths)
    parts = zip(batch.rows, batch.offsets, key_KTD.split(lengths, 1), value_KTD.split(lengths, 1), strict=True)
    for rows, start, key, value in parts:
        cache.write(layer, rows, start, key, value)


def _continue(
    batch: PackedBatch, layer: int, query_HTD: torch.Tensor, scale: float, window: int | None, softcap: float | None
) -> torch.Tensor:
    """Attention of each sequence over its row of the cache, where all that it goes on from stands by now."""
    assert batch.cache is not None
    parts = []
    for rows, offset, query in zip(batch.rows, batch.offsets, query_HTD.split(list(batch.lengths), 1), strict=True):
        key_KLD, value_KLD = batch.cache.row(layer, rows[0], offset + query.shape[1])
        parts.append(continued_causal(query, key_KLD, value_KLD, scale, window, softcap))
    return torch.cat(parts)


def _decode(
    batch: PackedBatch,
    layer: int,
    query_HBD: torch.Tensor,
    key_KBD: torch.Tensor,
    value_KBD: torch.Tensor,
    window: int | None,
    softcap: float | None,
) -> torch.Tensor:
    """Attention of one new position a row over that row's cached positions."""
    assert batch.cache is not None
    key_BKLD, value_BKLD, lengths_B = batch.cache.append(layer, key_KBD, value_KBD)
    rows, kv_heads, longest, _ = key_BKLD.shape
    query = query_HBD.transpose(0, 1).reshape(rows * kv_heads, -1, query_HBD.shape[-1])
    positions_L = torch.arange(longest, device=key_BKLD.device)
    hidden_BL = positions_L[None] >= lengths_B[:, None]
    if window is not None:
        hidden_BL |= positions_L[None] < lengths_B[:, None] - window
    hidden = hidden_BL[:, None, None].expand(-1, kv_heads, 1, -1).reshape(rows * kv_heads, 1, longest)
    out = _attend(query, key_BKLD.flatten(0, 1), value_BKLD.flatten(0, 1), hidden, softcap)
    return out.view(rows, query_HBD.shape[0], -1)


def _attend(
    query_KMD: torch.Tensor,
    key_KLD: torch.Tensor,
    value_KLD: torch.Tensor,
    hidden: torch.Tensor,
    softcap: float | None,
) -> torch.Tensor:
    """Softmax attention; `hidden` [.., L, L] marks what is not seen and repeats over the heads of a group."""
    scores = torch.bmm(query_KMD, key_KLD.transpose(1, 2)).float()
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    groups, rows, length = scores.shape
    scores = scores.view(groups, -1, hidden.shape[-2], length).masked_fill(hidden.unsqueeze(-3), float("-inf"))
    weights = scores.softmax(-1).view(groups, rows, length).to(value_KLD.dtype)
    return torch.bmm(weights, value_KLD)


def register() -> None:
    """Make the attention known to transformers. Masks are not built at all: the batch says what sees what."""
    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, lambda *args, **kwargs: None)
