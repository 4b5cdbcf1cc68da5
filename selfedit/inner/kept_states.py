"""What the layers below the adapted ones make of the examples under way: worked out once, used in every epoch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from selfedit.multilora.model import MultiLoraModel
from selfedit.turns import Turns
from selfedit.types import Example

_MOST_BYTES = 2**29
"""Of what is kept at once. What goes beyond is worked out anew in each pass."""

_PROBE, _BETWEEN = tuple(range(8)), tuple(range(8, 0, -1))
"""Tokens by which it is tried whether a model's passes may begin above its lower layers, and others, whose pass comes
in between, so that what layers may leave for later ones is not the probe's."""


class KeptStates:
    """Keeps what the lower layers make of the examples of each slot, where only the upper ones are adapted.

    A model for which a pass that begins above gives something else than a whole one (its layers know more of each other
    than hidden states) keeps nothing, nor does one that does not run packed.

    Args:
        token_budget: the most tokens of one pass.
        turns: where others use the model's weights, too.
    """

    def __init__(self, multi: MultiLoraModel, token_budget: int, turns: Turns | None = None) -> None:
        self._multi, self._token_budget, self._turns = multi, token_budget, turns or Turns()
        self._of_slot: dict[int, dict[tuple[int, ...], torch.Tensor]] = {}
        with self._turns.turn():
            self._works = multi.has_lower_layers and _is_exact(multi)

    def open(self, slot: int, examples: Sequence[Example]) -> None:
        """A slot goes on to these examples; what was kept for it is let go."""
        self.close(slot)
        sequences = sorted({example.tokens for example in examples}, key=lambda tokens: (len(tokens), tokens))
        hidden, width = self._multi.model.config.get_text_config().hidden_size, self._multi.model.dtype.itemsize
        held = sum(len(tokens) for kept in self._of_slot.values() for tokens in kept)
        if not self._works or (held + sum(map(len, sequences))) * hidden * width > _MOST_BYTES:
            return
        kept = self._of_slot[slot] = {}
        while sequences:
            batch = [sequences.pop()]
            while sequences and sum(map(len, batch)) + len(sequences[-1]) <= self._token_budget:
                batch.append(sequences.pop())
            layout = self._multi.lay_out(batch, [None] * len(batch))
            below = self._multi.batch(layout.lengths, layout.slots, parents=layout.parents)
            with self._turns.turn():
                lower_TH = self._multi.lower_states(layout.tokens, below)
            kept |= {tokens: lower_TH[layout.rows(i)] for i, tokens in enumerate(batch)}

    def close(self, slot: int) -> None:
        """A slot is done."""
        self._of_slot.pop(slot, None)

    def of(self, slot: int, example: Example) -> torch.Tensor | None:
        """What is kept of an example, `[tokens, hidden]`; None if nothing is."""
        return self._of_slot.get(slot, {}).get(example.tokens)


@torch.no_grad()
def _is_exact(multi: MultiLoraModel) -> bool:
    batch = multi.batch([len(_PROBE)], [None])
    try:
        lower_TH = multi.lower_states(_PROBE, batch)
        multi.hidden_states(_BETWEEN, batch)
        from_there = multi.hidden_states(_PROBE, batch, lower_TH=lower_TH)
    except (TypeError, ValueError, RuntimeError, IndexError):  # Its layers want, or return, more.
        return False
    whole = multi.hidden_states(_PROBE, batch)
    return torch.allclose(from_there.float(), whole.float(), rtol=1e-2, atol=1e-3)
