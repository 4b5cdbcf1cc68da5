"""How much quicker is training with adapters on the upper half of the layers?

    python -m benchmarks.upper_half --out benchmarks/results/upper_half-cpu.json

The self-edits of some passages of a store that `benchmarks.learning` left (the default model, `learn`'s settings, all
epochs), trained in turns with adapters on all layers and on the upper half.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.machine import machine
from benchmarks.options import Bench
from selfedit.runtime import software_versions
from selfedit.types import UPPER_HALF, Recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/selfedit-learning"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/upper_half-cpu.json"))
    options = parser.parse_args()
    bench = Bench("demo", 0, options.scratch)
    settings = bench.config.final("routed").hyperparameters()
    upper = replace(settings, lora=replace(settings.lora, target_modules=UPPER_HALF))
    recipes = []
    for item in bench.version.knowledge.learnt[: options.passages]:
        statements, pairs = bench.examples(item)
        recipes.append(Recipe(item.task.id, (*statements[:1], *pairs), settings, item.seed))
    tokens = sum(recipe.tokens_per_epoch for recipe in recipes) * settings.epochs
    rates: dict[str, list[float]] = {"all layers": [], "upper half": []}
    for _ in range(options.rounds):
        for name, how in (("all layers", settings), ("upper half", upper)):
            started = time.perf_counter()
            list(bench.stages.inner.adapt([replace(recipe, hyperparameters=how) for recipe in recipes], bench.writer))
            rates[name].append(tokens / (time.perf_counter() - started))
            print(f"{name}: {rates[name][-1]:.1f} tokens/s", flush=True)
    ratios = [half / whole for whole, half in zip(rates["all layers"], rates["upper half"], strict=True)]
    print(f"{median(ratios):.2f} times as quick ({min(ratios):.2f} to {max(ratios):.2f})")
    record = {
        "machine": machine(),
        "software": software_versions(),
        "passages": len(recipes),
        "tokens": tokens,
        "epochs": settings.epochs,
        "tokens a second": rates,
        "times as quick": ratios,
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
