"""Right-padded rows, for models that cannot run on packed tokens.

Those are models whose attention is their own (Falcon, GPT-J, BLOOM), and models that carry a state from token to token
(Mamba, Qwen3-Next), which would leak from one packed sequence into the next. Padding on the right changes nothing for
either: no token looks at what stands behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn
from transformers import PreTrainedModel

from selfedit.multilora.packed_batch import PackedBatch, use_batch

_PACKABLE = {"full_attention", "sliding_attention"}


def can_pack(model: PreTrainedModel) -> bool:
    """Whether every layer is attention, and attention that may be replaced."""
    layers = getattr(model.config.get_text_config(), "layer_types", None) or ()
    return bool(getattr(model, "_supports_attention_backend", False)) and set(layers) <= _PACKABLE


def padded_hidden_states(model: PreTrainedModel, tokens: Sequence[int], batch: PackedBatch) -> torch.Tensor:
    """Last hidden states `[T, hidden]`, packed, of packed tokens that are run as right-padded rows.

    A cache holds the tokens of its rows, and each decoding step reads them anew: slow, but the same for every model.
    """
    sequences = [list(part) for part in torch.tensor(tokens).split(list(batch.lengths))]
    rows = [[int(token) for token in sequence] for sequence in sequences]
    if batch.cache is None:
        return _run(model, rows, batch)
    if batch.decode:
        batch.cache.extend_tokens([row[0] for row in rows])
        rows = batch.cache.tokens
        whole = PackedBatch(tuple(map(len, rows)), batch.slots, batch.device)
        hidden_TH = _run(model, rows, whole)
        last = torch.tensor(whole.lengths, device=hidden_TH.device).cumsum(0) - 1
        return hidden_TH[last]
    for cache_rows, row in zip(batch.rows, rows, strict=True):
        batch.cache.write_tokens(cache_rows, row)
    return _run(model, rows, batch)


def _run(model: PreTrainedModel, rows: Sequence[Sequence[int]], batch: PackedBatch) -> torch.Tensor:
    longest = max(batch.lengths)
    ids_SL = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=batch.device)
    lengths_S = torch.tensor(batch.lengths, device=batch.device)
    mask_SL = torch.arange(longest, device=batch.device)[None] < lengths_S[:, None]
    decoder: nn.Module = model.base_model
    with use_batch(replace(batch, stride=longest, cache=None)):
        output = decoder(input_ids=ids_SL, attention_mask=mask_SL.long(), use_cache=False)
    hidden: torch.Tensor = output.last_hidden_state[mask_SL]
    return hidden
