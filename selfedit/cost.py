"""What work costs on this machine: how fast it multiplies, and what share of that training and decoding reach."""

from __future__ import annotations

import time

# Rough: from runs of smollm2-135m alone on two cores without AVX-512: 67 GFLOP/s, 107 tokens a second of training.
TRAINING_EFFICIENCY = 0.8
"""Share of the plain matmul rate that training reaches; what is computed once for several sequences counts for each."""
DECODING_EFFICIENCY = 0.35
"""The same for decoding, which is bound by memory and by Python."""
PREFILL_EFFICIENCY = 0.5
RUNTIME_BYTES = 500_000_000
"""Python, torch and transformers themselves."""


def work_seconds(parameters: int, rate: float, training: float, decoded: float, read: float) -> float:
    """How long so many tokens take. Forward is 2 operations a parameter and token; the backward pass to activations
    alone is 2 more.
    """
    trained = 4 * parameters * training / (rate * TRAINING_EFFICIENCY)
    return trained + 2 * parameters * (decoded / (rate * DECODING_EFFICIENCY) + read / (rate * PREFILL_EFFICIENCY))


def matmul_rate() -> tuple[float, int]:
    """Operations a second of one matrix product, and the bytes of a weight, in the type that a model would have."""
    import torch

    from selfedit.models.load import default_device, default_dtype

    device = default_device()
    dtype = default_dtype(device)
    left_TI, right_IO = (torch.ones(1024, 1024, dtype=dtype, device=device) for _ in range(2))
    best, ends = float("inf"), time.perf_counter() + 0.3
    while time.perf_counter() < ends:
        started = time.perf_counter()
        (left_TI @ right_IO)[0, 0].item()
        best = min(best, time.perf_counter() - started)
    return 2 * 1024**3 / best, dtype.itemsize


def adapter_bytes(rank: int, widths: int, slots: int) -> int:
    """Of adapters in training, in fp32, each with its gradient and two moments.

    Args:
        widths: inputs and outputs of all adapted layers, summed.
    """
    return 4 * 4 * rank * widths * slots


def activation_bytes(tokens: int, widths: int, bytes_a_weight: int) -> int:
    """Of one pass: every layer keeps its input, and the low-rank part and the norms about as much again."""
    return 2 * tokens * widths * bytes_a_weight


def duration(seconds: float) -> str:
    """Seconds in the unit that people would use."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 360_000 else f"{seconds / 86_400:.0f} days"
