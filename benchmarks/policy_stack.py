"""A policy in a slot of its own, or merged into the weights for the call: which writes self-edits faster?

    python -m benchmarks.policy_stack --out benchmarks/results/policy_stack-cpu.json

Both are exact but for rounding. Merging copies every adapted weight and adds a product to it, once a call; a slot adds
two small products a layer to every step. Rounds alternate, in one run, each way first in every other one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.machine import machine
from selfedit.generate.base import Request
from selfedit.generate.batched import BatchedGenerator
from selfedit.models import DEFAULT_MODEL, load
from selfedit.multilora.merge import merged
from selfedit.multilora.model import layer_shapes, resolve_targets
from selfedit.types import Adapter, LoraFactors, LoraSpec, Model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--rank", type=int, default=64, help="of the policy; 64 in the paper")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    base = load(options.model)
    generator = BatchedGenerator(base.model, base.tokenizer, frozenset())
    bare = Model(base.ref)
    shapes = layer_shapes(base.model, resolve_targets(base.model, "all-linear"))
    factors = {
        name: LoraFactors(torch.randn(options.rank, i) * 1e-3, torch.randn(o, options.rank) * 1e-3)
        for name, (i, o) in shapes.items()
    }
    policy = Adapter("policy", LoraSpec(options.rank, 2.0 * options.rank), factors)
    prompts = [tuple(range(100 + i, 300 + i)) for i in range(16)]

    def in_slot(rows: int, tokens: int) -> None:
        generator.generate([Request(p, bare.with_update(policy), tokens) for p in prompts[:rows]])

    def as_merged(rows: int, tokens: int) -> None:
        with merged(base.model, [policy]):
            generator.generate([Request(p, bare, tokens) for p in prompts[:rows]])

    results = []
    for rows, tokens in ((1, 16), (16, 16), (16, 96)):
        seconds: dict[str, list[float]] = {"slot": [], "merged": []}
        for number in range(options.rounds):
            ways: list[tuple[str, Callable[[int, int], None]]] = [("slot", in_slot), ("merged", as_merged)]
            for name, way in ways if number % 2 else reversed(ways):
                started = time.perf_counter()
                way(rows, tokens)
                seconds[name].append(time.perf_counter() - started)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        ratios = sorted(a / b for a, b in zip(seconds["slot"], seconds["merged"], strict=True))
        results.append({"rows": rows, "tokens": tokens, **medians, "slot_over_merged": [round(r, 2) for r in ratios]})
        print(results[-1], flush=True)
    if options.out is not None:
        facts = {"machine": machine(), "rank": options.rank, "results": results}
        options.out.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
