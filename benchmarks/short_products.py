"""Is `x @ W.T` or its transpose faster for few rows? Why `multilora/linear.py` chooses.

python -m benchmarks.short_products
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.nn import functional

from benchmarks.machine import machine

INPUTS, OUTPUTS, COPIES = 576, 1536, 12


def milliseconds(product: Callable[[torch.Tensor], torch.Tensor], weights: list[torch.Tensor]) -> float:
    """The best of seven rounds over several weights, so that none stays in the cache."""
    best = float("inf")
    for _ in range(7):
        started = time.perf_counter()
        for _ in range(4):
            for weight in weights:
                product(weight)
        best = min(best, (time.perf_counter() - started) / (4 * len(weights)))
    return 1000 * best


def main() -> None:
    print(machine())
    weights = [torch.randn(OUTPUTS, INPUTS) for _ in range(COPIES)]
    print("| rows | x @ W.T, ms | (W @ x.T).T, ms | ratio |\n|---|---|---|---|")
    with torch.no_grad():
        for rows in (1, 4, 8, 12, 16, 24, 32, 48, 64, 128, 512):
            x_RI = torch.randn(rows, INPUTS)
            plain = milliseconds(lambda weight, x=x_RI: functional.linear(x, weight), weights)  # type: ignore[misc]
            flipped = milliseconds(lambda weight, x=x_RI: torch.mm(weight, x.T).T.contiguous(), weights)  # type: ignore[misc]
            print(f"| {rows} | {plain:.2f} | {flipped:.2f} | {plain / flipped:.2f} |")


if __name__ == "__main__":
    main()
