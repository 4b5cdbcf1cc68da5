"""One forward and backward pass over examples of many adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from selfedit.inner.loss import chunked_cross_entropy
from selfedit.multilora.model import MultiLoraModel
from selfedit.multilora.packed_batch import SequenceDropout
from selfedit.types import Example


@dataclass(frozen=True)
class Piece:
    """An example of one slot's optimizer step, and the weight of each of its labelled tokens.

    `dropout` is the share of a layer's inputs that the adapter does not see, drawn from `seed`.
    """

    slot: int
    example: Example
    weight: float
    dropout: float = 0.0
    seed: int = 0


def accumulate_gradients(multi: MultiLoraModel, pieces: Sequence[Piece]) -> list[float]:
    """Add the gradients of all pieces to their slots' (`grads_NP`), and return each piece's weighted loss."""
    lengths = [len(piece.example.tokens) for piece in pieces]
    tokens = [token for piece in pieces for token in piece.example.tokens]
    dropouts = [SequenceDropout(piece.dropout, piece.seed) if piece.dropout else None for piece in pieces]
    layout = multi.training_layout(lengths, [piece.slot for piece in pieces], dropouts)
    hidden_TH = multi.hidden_states(tokens, layout)
    positions, targets, weights, owners = [], [], [], []
    start = 0
    for index, piece in enumerate(pieces):
        for offset, bears_loss in enumerate(piece.example.loss_mask[1:]):
            if bears_loss:
                positions.append(start + offset)
                targets.append(piece.example.tokens[offset + 1])
                weights.append(piece.weight)
                owners.append(index)
        start += lengths[index]
    device = multi.device
    weights_T = torch.tensor(weights, device=device)
    loss_T = chunked_cross_entropy(
        hidden_TH[torch.tensor(positions, device=device)],
        multi.model.get_output_embeddings(),
        torch.tensor(targets, device=device),
        weights_T,
        getattr(multi.model.config, "final_logit_softcapping", None),
    )
    loss_T.sum().backward()
    losses = torch.zeros(len(pieces), device=device)
    losses.index_add_(0, torch.tensor(owners, device=device), loss_T.detach() * weights_T)
    return [float(loss) for loss in losses]
