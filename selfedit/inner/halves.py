"""A pass in two halves, each on a thread of its own with half of the CPU's cores."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from types import TracebackType

import torch
from transformers import PreTrainedModel

from selfedit.inner.backward import Piece, accumulate_gradients
from selfedit.multilora.model import MultiLoraModel
from selfedit.turns import Turns

# These adjust a buffer of the model to the longest sequence of each pass.
_STATEFUL_POSITIONS = {"dynamic", "longrope"}


class Halves:
    """Runs passes on a CPU as two halves at once.

    The many small products and elementwise steps of adapters are too short to be shared between cores, so in a whole
    pass one core does them while the others wait; in two halves each does its own. Measured on 2 cores: 0.82 times
    the time (benchmarks/halves.py). No slot is in both halves, so the gradients do not meet. Elsewhere than on a CPU,
    with one core, or for a model whose layers keep state between passes, passes stay whole.
    """

    def __init__(self, multi: MultiLoraModel, turns: Turns | None = None) -> None:
        self._multi, self.turns, self._pool = multi, turns or Turns(), None
        threads = torch.get_num_threads()
        if multi.device.type == "cpu" and threads > 1 and multi.packed and not _keeps_state(multi.model):
            # The number of threads is each thread's own.
            self._pool = ThreadPoolExecutor(2, initializer=lambda: torch.set_num_threads(threads // 2))

    def run(self, pieces: Sequence[Piece]) -> list[float]:
        """As `accumulate_gradients`; raises what either half raised, when both have ended."""
        first, second = split(pieces)
        if self._pool is None or not second:
            return self._pass(pieces)
        futures = [self._pool.submit(self._pass, half) for half in (first, second)]
        wait(futures)
        return [loss for future in futures for loss in future.result()]

    def _pass(self, pieces: Sequence[Piece]) -> list[float]:
        with self.turns.turn():
            return accumulate_gradients(self._multi, pieces)

    def __enter__(self) -> Halves:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()


def split(pieces: Sequence[Piece]) -> tuple[list[Piece], list[Piece]]:
    """Cut pieces sorted by slot between two slots, so that the halves' tokens are as even as that allows."""
    lengths = [len(piece.example.tokens) for piece in pieces]
    cuts = [i for i in range(1, len(pieces)) if pieces[i - 1].slot != pieces[i].slot]
    cut = min(cuts, key=lambda i: abs(sum(lengths[:i]) - sum(lengths[i:])), default=len(pieces))
    return list(pieces[:cut]), list(pieces[cut:])


def _keeps_state(model: PreTrainedModel) -> bool:
    rope = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    # Some families have one set of parameters for each type of layer.
    kinds = {rope.get("rope_type"), *(part.get("rope_type") for part in rope.values() if isinstance(part, dict))}
    return bool(kinds & _STATEFUL_POSITIONS)
