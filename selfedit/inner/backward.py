"""One forward and backward pass over examples of many adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from selfedit.inner.loss import chunked_cross_entropy, pad_and_join, targets
from selfedit.multilora.layout import Layout
from selfedit.multilora.model import MultiLoraModel
from selfedit.multilora.packed_batch import SequenceDropout
from selfedit.types import Example


@dataclass(frozen=True)
class Piece:
    """An example of one slot's optimizer step, and by what the weights of its tokens are multiplied.

    `dropout` is the share of a layer's inputs that the adapter does not see, drawn from `seed`. `lower_TH` is what is
    kept of what the layers below the adapted ones make of the example.
    """

    slot: int
    example: Example
    weight: float
    dropout: float = 0.0
    seed: int = 0
    lower_TH: torch.Tensor | None = None


def accumulate_gradients(multi: MultiLoraModel, pieces: Sequence[Piece]) -> list[float]:
    """Add the gradients of all pieces to their slots' (`grads_NP`), and return each piece's weighted loss."""
    # What is hidden from an adapter by dropout is each example's own, and so is then what follows from it.
    dropouts = [SequenceDropout(piece.dropout, piece.seed) if piece.dropout else None for piece in pieces]
    examples, slots = [piece.example.tokens for piece in pieces], [piece.slot for piece in pieces]
    layout = multi.lay_out(examples, slots, share=not any(dropouts))
    batch = multi.training_batch(layout.lengths, layout.slots, dropouts if any(dropouts) else (), layout.parents)
    hidden_TH = multi.hidden_states(layout.tokens, batch, lower_TH=_lower_states(layout, pieces))
    positions, weights, owners, parts = [], [], [], []
    for index, piece in enumerate(pieces):
        labelled = [offset for offset, weight in enumerate(piece.example.weights[1:]) if weight]
        rows = layout.rows(index)
        positions += [rows[offset] for offset in labelled]
        weights += [piece.weight * piece.example.weights[offset + 1] for offset in labelled]
        owners += [index] * len(labelled)
        parts.append([part[labelled] for part in targets(piece.example)])
    device = multi.device
    weights_T = torch.tensor(weights, device=device)
    ids_TK, probabilities_TK = (pad_and_join(list(column)).to(device) for column in zip(*parts, strict=True))
    loss_T = chunked_cross_entropy(
        hidden_TH[torch.tensor(positions, device=device)],
        multi.model.get_output_embeddings(),
        ids_TK,
        probabilities_TK,
        weights_T,
        getattr(multi.model.config, "final_logit_softcapping", None),
    )
    loss_T.sum().backward()
    losses = torch.zeros(len(pieces), device=device)
    losses.index_add_(0, torch.tensor(owners, device=device), loss_T.detach() * weights_T)
    return [float(loss) for loss in losses]


def _lower_states(layout: Layout, pieces: Sequence[Piece]) -> torch.Tensor | None:
    """What is kept of all pieces as they lie in the pass; None where of one nothing is."""
    kept = [piece.lower_TH for piece in pieces if piece.lower_TH is not None]
    if not kept or len(kept) < len(pieces):
        return None
    lower_TH = kept[0].new_empty(len(layout.tokens), kept[0].shape[1])
    for index, states in enumerate(kept):
        lower_TH[layout.rows(index)] = states
    return lower_TH
