"""How fast do many adapters answer? Against transformers' `generate`, one left-padded batch an adapter.

    python -m benchmarks.generate --out benchmarks/results/generate-cpu.json

Each of `--n` adapters is asked its own self-edit's questions, and every answer has exactly `--answer-tokens` tokens in
both ways, so that the same work is timed. The ways take turns, `--rounds` times; the ratio is the median over rounds.
vLLM is timed too where it is installed and there is a GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import recorded
from benchmarks.rivals import generate_seconds_an_edit, seconds_of
from benchmarks.workload import BARE, TARGETS, Edit, edits, train
from selfedit.generate.base import Generator, Request
from selfedit.generate.batched import BatchedGenerator
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.models import DEFAULT_MODEL, load
from selfedit.types import Adapter


def seconds_an_edit(generator: Generator, work: list[Edit], adapters: dict[str, Adapter], options: Any) -> float:
    """All adapters' questions at once."""
    requests = [
        Request(prompt, BARE.with_update(adapters[name]), options.answer_tokens)
        for name, edit in zip(adapters, work, strict=True)
        for prompt in edit.prompts
    ]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return seconds_of(device, lambda: generator.generate(requests)) / len(work)


def main() -> None:
    options = arguments()
    base = load(options.model, device=options.device)
    work, source = edits(options.n, lambda text: base.tokenizer(text, add_special_tokens=False)["input_ids"])
    recipes = [edit.recipe(f"e{i}", options.targets, epochs=1, seed=i) for i, edit in enumerate(work)]
    trained = {adapter.recipe_id: adapter for adapter in train(BatchedInnerLoop(base.model, options.n), recipes)}
    adapters = {recipe.id: trained[recipe.id] for recipe in recipes}
    ways: dict[str, Generator] = {
        "ours": BatchedGenerator(base.model, base.tokenizer, frozenset(), options.rows, slots=options.n)
    }
    if find_spec("vllm") is not None and torch.cuda.is_available():
        from selfedit.generate.vllm import VllmGenerator

        ways["vllm"] = VllmGenerator(base.folder, frozenset())
    prompts = [edit.prompts for edit in work[: options.generate_edits]]
    rounds = []
    for index in range(options.rounds):
        seconds = {name: seconds_an_edit(way, work, adapters, options) for name, way in ways.items()}
        seconds["transformers"] = generate_seconds_an_edit(base.model, recipes[0], prompts, options.answer_tokens)
        rounds.append(seconds)
        if not options.json:
            told = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
            print(f"round {index + 1}, a self-edit: {told}", flush=True)
    ratios = [entry["transformers"] / entry["ours"] for entry in rounds]
    ours = statistics.median(entry["ours"] for entry in rounds)
    tokens = statistics.mean(len(edit.prompts) for edit in work) * options.answer_tokens
    result = recorded(
        {
            "seconds_per_edit": ours,
            "tokens_per_second": tokens / ours,
            "ratio_generate": statistics.median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
            "rounds": rounds,
            "edits": source,
        },
        options,
    )
    if options.json:
        print(json.dumps(result))
    else:
        print(
            f"{result['tokens_per_second']:.0f} tokens/s, {result['ratio_generate']:.1f} times transformers' generate"
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="any model that selfedit can load")
    parser.add_argument("--device", help="cpu or cuda")
    parser.add_argument("--targets", choices=sorted(TARGETS), default="qv", help="layers adapted")
    parser.add_argument("--n", type=int, default=12, help="adapters at once")
    parser.add_argument("--rows", type=int, default=64, help="answers decoded at once")
    parser.add_argument("--answer-tokens", type=int, default=32, help="tokens of each answer")
    parser.add_argument("--generate-edits", type=int, default=4, help="self-edits that `generate` answers a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write it to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
