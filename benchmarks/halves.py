"""A training pass whole, or in two halves on threads of their own? Why `inner/halves.py` cuts it. On a CPU.

python -m benchmarks.halves
"""

from __future__ import annotations

import statistics
import time

import torch

from benchmarks.machine import machine
from benchmarks.workload import TARGETS, edits
from selfedit.inner.backward import Piece, accumulate_gradients
from selfedit.inner.halves import Halves
from selfedit.models import DEFAULT_MODEL, load
from selfedit.multilora.model import MultiLoraModel, resolve_targets

SLOTS, RANK, ROUNDS = 24, 32, 10


def main() -> None:
    base = load(DEFAULT_MODEL, device="cpu")
    work, _ = edits(SLOTS, lambda text: base.tokenizer(text, add_special_tokens=False)["input_ids"])
    pieces = [
        Piece(slot, edit.recipe(f"e{slot}", "qv", 1).examples[slot % len(edit.sequences)], 1.0)
        for slot, edit in enumerate(work)
    ]
    tokens = sum(len(piece.example.tokens) for piece in pieces)
    multi = MultiLoraModel(base.model, SLOTS, RANK, resolve_targets(base.model, TARGETS["qv"]), train=True)
    seconds: dict[str, list[float]] = {"whole": [], "halves": []}
    with Halves(multi) as halves:
        ways = {"whole": lambda: accumulate_gradients(multi, pieces), "halves": lambda: halves.run(pieces)}
        for index in range(ROUNDS + 1):
            # The order alternates; the first round warms up.
            for name in sorted(ways, reverse=bool(index % 2)):
                multi.stale = set(range(SLOTS))
                started = time.perf_counter()
                ways[name]()
                if index:
                    seconds[name].append(time.perf_counter() - started)
    print(machine())
    print(f"{SLOTS} adapters, {tokens} tokens a pass, {torch.get_num_threads()} threads, medians of {ROUNDS}:")
    for name, times in seconds.items():
        print(f"{name:8} {statistics.median(times):.2f} s")
    ratios = sorted(half / whole for whole, half in zip(seconds["whole"], seconds["halves"], strict=True))
    print(f"ratio    {statistics.median(ratios):.2f} (paired; {ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
