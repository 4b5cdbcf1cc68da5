"""Attention of packed sequences on a CPU: each by itself, or like lengths padded together? Why `packed.py` chooses.

python -m benchmarks.packed_attention
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

from benchmarks.machine import machine
from selfedit.multilora.packed_attention import _by_group, _BySequence
from selfedit.multilora.packed_batch import PackedBatch

# Lengths as those of 24 lines of published self-edits, and SmolLM2-135M's heads.
LENGTHS = (18, 19, 20, 22, 24, 25, 26, 28, 28, 30, 30, 30, 33, 35, 38, 40, 45, 50, 60, 80, 105, 110, 130, 180)
HEADS, KV_HEADS, WIDTH, ROUNDS = 9, 3, 64, 15


def main() -> None:
    torch.manual_seed(0)
    layout = PackedBatch(LENGTHS, (None,) * len(LENGTHS), torch.device("cpu"))
    total = sum(LENGTHS)
    query, key, value = (
        torch.randn(total, heads, WIDTH).transpose(0, 1).requires_grad_() for heads in (HEADS, KV_HEADS, KV_HEADS)
    )
    grad = torch.randn(total, HEADS, WIDTH)
    by_sequence: Any = _BySequence.apply
    ways: dict[str, Any] = {
        "by sequence": lambda: by_sequence(query, key, value, LENGTHS, WIDTH**-0.5, None),
        "padded groups, plain": lambda: _by_group(layout, query, key, value, WIDTH**-0.5, None, 1e6),
        "padded groups, fused": lambda: _by_group(layout, query, key, value, WIDTH**-0.5, None, None),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, attend in ways.items():
            started = time.perf_counter()
            torch.autograd.grad(attend(), (query, key, value), grad)
            seconds[name].append(time.perf_counter() - started)
    print(machine())
    print(f"{len(LENGTHS)} sequences, {total} tokens, forward and backward, median of {ROUNDS}:")
    for name, times in seconds.items():
        print(f"{name:22} {1000 * statistics.median(times):6.1f} ms")


if __name__ == "__main__":
    main()
