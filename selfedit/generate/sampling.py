"""Picking the next token."""

from __future__ import annotations

import torch

_FIRST_CANDIDATES = 1024


def greedy(logits_V: torch.Tensor) -> tuple[int, float]:
    """The most likely token and its log-probability."""
    token = int(logits_V.argmax())
    return token, float(logits_V[token] - logits_V.logsumexp(0))


def nucleus(logits_V: torch.Tensor, temperature: float, top_p: float, generator: torch.Generator) -> tuple[int, float]:
    """A token drawn from the top-p nucleus at a temperature, and its log-probability within the nucleus.

    Draws exactly one number from `generator`, so that a row's text depends on its seed alone.
    """
    logits_V = logits_V / temperature
    log_total = logits_V.logsumexp(0)
    size = logits_V.numel()
    # Sorting the whole vocabulary takes longer than a decoding step of a small model on a CPU.
    candidates = min(size, _FIRST_CANDIDATES)
    while True:
        top_C, tokens_C = logits_V.topk(candidates)
        mass_C = (top_C - log_total).exp().cumsum(0)
        if candidates == size or mass_C[-1] >= top_p:
            break
        candidates = min(size, candidates * 8)
    # The token that crosses top_p belongs to the nucleus.
    kept = min(candidates, int((mass_C < top_p).sum()) + 1)
    draw = torch.rand((), generator=generator).item() * float(mass_C[kept - 1])
    index = min(kept - 1, int(torch.searchsorted(mass_C[:kept].contiguous(), draw, right=True)))
    return int(tokens_C[index]), float(top_C[index] - log_total - mass_C[kept - 1].log())
