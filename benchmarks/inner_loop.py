"""How fast are many adapters at once? Against the official manner, PEFT in a plain loop, and the arithmetic's floor.

    python -m benchmarks.inner_loop --out benchmarks/results/inner_loop-cpu.json
    python -m benchmarks.inner_loop --shape qwen2.5-7b --device cuda --n 64 --whole 750

All ways are timed in turn, `--rounds` times, on the same self-edits, so that what else the machine does hits them
alike; the ratios are medians over the rounds. What would take hours is timed over a few steps and extrapolated: the
official manner is one step a round, PEFT `--peft-tokens` tokens, ours a window of `--tokens` tokens in which slots are
full, of a queue of ten-epoch jobs. `--whole N` trains and asks N self-edits from start to end instead of a window.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from benchmarks.machine import machine, peak_memory
from benchmarks.rivals import (
    clock,
    generate_seconds_an_edit,
    matmul_rate,
    official_seconds_a_sequence,
    peft_seconds_a_token,
    seconds_of,
)
from benchmarks.shapes import SHAPES, random_model
from benchmarks.workload import BARE, TARGETS, Edit, edits, random_encoder, train
from selfedit.generate.base import Request
from selfedit.generate.batched import BatchedGenerator
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.models import DEFAULT_MODEL, load
from selfedit.runtime import software_versions
from selfedit.types import Adapter, Recipe

EPOCHS = 10


@dataclass(frozen=True)
class Round:
    """Seconds of each way in one round; `a` the official manner, `b` the better of PEFT's types."""

    train: float
    evaluate: float
    peft_train: dict[str, float]
    official_train: float
    generate: float
    floor: float

    @property
    def peft_best(self) -> float:
        return min(self.peft_train.values())

    def ratios(self) -> dict[str, float]:
        """How many times longer the others take for a self-edit, trained and asked."""
        ours = self.train + self.evaluate
        return {
            "ratio_official": (self.official_train + self.generate) / ours,
            "ratio_peft": (self.peft_best + self.generate) / ours,
            "ratio_floor": self.train / self.floor,
            "ratio_official_training": self.official_train / self.train,
            "ratio_peft_training": self.peft_best / self.train,
            "ratio_generate": self.generate / self.evaluate,
        }


class Bench:
    """One model, one set of self-edits, all ways to train and ask."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: Any, work: Sequence[Edit], options: argparse.Namespace
    ) -> None:
        self.model, self.tokenizer, self.options = model, tokenizer, options
        self.device, self.edits = model.device, work
        self.dtype = next(model.parameters()).dtype
        self.recipes = [edit.recipe(f"e{i}", options.targets, EPOCHS, seed=i) for i, edit in enumerate(work)]
        self.parameters = sum(parameter.numel() for parameter in model.parameters())
        self.tokens_an_edit = EPOCHS * statistics.mean(edit.tokens for edit in work)
        self.sequences_an_edit = EPOCHS * statistics.mean(len(edit.sequences) for edit in work)

    def our_seconds_a_token(self, slots: int, budget: int, tokens: int) -> float:
        """Over a window of a long queue: from the second pass on, until `tokens` were trained on."""
        passes: list[tuple[float, int]] = []
        loop = BatchedInnerLoop(self.model, slots, budget)

        def passed(count: int) -> None:
            passes.append((clock(self.device), count))
            if sum(count for _, count in passes[1:]) >= tokens:
                raise _Enough

        try:
            for _ in loop.adapt(self.recipes, BARE, passed):
                pass
        except _Enough:
            pass
        return (passes[-1][0] - passes[0][0]) / sum(count for _, count in passes[1:])

    def evaluate_seconds_an_edit(
        self, adapters: Sequence[Adapter], prompts: Sequence[Sequence[tuple[int, ...]]]
    ) -> float:
        """Every adapter asked its own questions, all together."""
        generator = BatchedGenerator(self.model, self.tokenizer, frozenset(), self.options.rows, slots=len(adapters))
        requests = [
            Request(prompt, BARE.with_update(adapter), self.options.answer_tokens)
            for adapter, batch in zip(adapters, prompts, strict=True)
            for prompt in batch
        ]
        return seconds_of(self.device, lambda: generator.generate(requests)) / len(adapters)

    def round(self, adapters: Sequence[Adapter]) -> Round:
        """All ways once, one after another."""
        options, tokens = self.options, self.tokens_an_edit
        prompts = [edit.prompts for edit in self.edits[: len(adapters)]]
        floor = 4 * self.parameters / matmul_rate(self.device, self.dtype) * tokens
        train = self.our_seconds_a_token(options.n, options.budget, options.tokens) * tokens
        evaluate = self.evaluate_seconds_an_edit(adapters, prompts)
        generate = generate_seconds_an_edit(
            self.model, self.recipes[0], prompts[: options.generate_edits], options.answer_tokens
        )
        peft = {str(self.dtype): peft_seconds_a_token(self.model, self._short(options.peft_tokens)) * tokens}
        if self.device.type == "cpu" and self.dtype == torch.float32:
            self._convert(torch.bfloat16)
            peft["torch.bfloat16"] = peft_seconds_a_token(self.model, self._short(options.peft_tokens // 4)) * tokens
            self._convert(torch.float32)
        official = official_seconds_a_sequence(self.model, self.recipes[0]) * self.sequences_an_edit
        return Round(train, evaluate, peft, official, generate, floor)

    def _convert(self, dtype: torch.dtype) -> None:
        model: Any = self.model
        model.to(dtype)

    def _short(self, tokens: int) -> list[Recipe]:
        """One-epoch recipes over typical edits, about `tokens` tokens in all."""
        chosen: list[Recipe] = []
        for index, edit in enumerate(
            sorted(self.edits, key=lambda edit: abs(edit.tokens - self.tokens_an_edit / EPOCHS))
        ):
            if chosen and sum(recipe.tokens_per_epoch for recipe in chosen) >= tokens:
                break
            chosen.append(edit.recipe(f"p{index}", self.options.targets, 1))
        return chosen

    def whole(self, count: int) -> dict[str, float]:
        """Train and ask `count` self-edits, from start to end."""
        recipes = [
            self.edits[i % len(self.edits)].recipe(f"w{i}", self.options.targets, EPOCHS, seed=i) for i in range(count)
        ]
        started = clock(self.device)
        asking = 0.0
        adapters = train(BatchedInnerLoop(self.model, self.options.n, self.options.budget), recipes)
        trained = clock(self.device)
        for start in range(0, count, self.options.n):
            batch = sorted(adapters, key=lambda adapter: int(adapter.recipe_id[1:]))[start : start + self.options.n]
            prompts = [self.edits[int(adapter.recipe_id[1:]) % len(self.edits)].prompts for adapter in batch]
            asking += self.evaluate_seconds_an_edit(batch, prompts) * len(batch)
        return {"edits": count, "train_seconds": trained - started, "evaluate_seconds": asking}


class _Enough(Exception):
    """The window is full."""


def sweep(bench: Bench, counts: Sequence[int]) -> list[dict[str, float]]:
    """Training throughput over n, each with a budget that takes one example of every slot."""
    rows = []
    for n in counts:
        gc.collect()
        seconds = bench.our_seconds_a_token(n, max(bench.options.budget, 64 * n), bench.options.tokens)
        rows.append({"n": n, "tokens_per_second": 1 / seconds, "peak_memory_gib": peak_memory(bench.device) / 2**30})
        print(f"n={n}: {1 / seconds:.0f} tokens/s", flush=True)
    return rows


def summary(bench: Bench, rounds: Sequence[Round], source: str) -> dict[str, Any]:
    """The one object that `--json` prints."""
    ratios = [entry.ratios() for entry in rounds]
    medians = {name: statistics.median(entry[name] for entry in ratios) for name in ratios[0]}
    train, evaluate = (statistics.median(getattr(entry, name) for entry in rounds) for name in ("train", "evaluate"))
    return {
        "seconds_per_edit": train + evaluate,
        "train_seconds_per_edit": train,
        "evaluate_seconds_per_edit": evaluate,
        "tokens_per_second": bench.tokens_an_edit / train,
        **medians,
        "ratio_ranges": {name: [min(e[name] for e in ratios), max(e[name] for e in ratios)] for name in ratios[0]},
        "tokens_per_edit": bench.tokens_an_edit,
        "sequences_per_edit": bench.sequences_an_edit,
        "peak_memory_gib": peak_memory(bench.device) / 2**30,
        "rounds": [asdict(entry) for entry in rounds],
        "edits": source,
        "extrapolated": "official manner from one step a round, PEFT and ours from windows of tokens; see the options",
        "options": {name: str(value) for name, value in vars(bench.options).items()},
        "parameters": bench.parameters,
        "dtype": str(bench.dtype),
        "machine": machine(),
        "software": software_versions(),
    }


def main() -> None:
    options = arguments()
    if options.shape:
        device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        model: Any = random_model(options.shape, device, dtype)
        encode, tokenizer = random_encoder(model.config.vocab_size), None
    else:
        base = load(options.model, device=options.device)
        model, tokenizer = base.model, base.tokenizer
        encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    work, source = edits(options.edits, encode)
    bench = Bench(model, tokenizer or _NoTokenizer(), work, options)
    result: dict[str, Any] = {}
    if options.sweep:
        result["sweep"] = sweep(bench, options.sweep)
    if options.whole:
        result["whole"] = bench.whole(options.whole)
    if options.rounds:
        short = [edit.recipe(f"a{i}", options.targets, 1, seed=i) for i, edit in enumerate(work[: options.n])]
        adapters = sorted(
            train(BatchedInnerLoop(model, options.n, options.budget), short), key=lambda a: int(a.recipe_id[1:])
        )
        rounds = []
        for index in range(options.rounds):
            started = time.perf_counter()
            rounds.append(bench.round(adapters))
            told = {name: round(value, 2) for name, value in rounds[-1].ratios().items()}
            if not options.json:
                print(f"round {index + 1}, {time.perf_counter() - started:.0f} s: {told}", flush=True)
        result = summary(bench, rounds, source) | result
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            if isinstance(value, float):
                print(f"{name:28} {value:.3f}")


class _NoTokenizer:
    """Random weights have no text."""

    def decode(self, tokens: Sequence[int], **_: Any) -> str:
        return ""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="any model that selfedit can load")
    parser.add_argument("--shape", choices=sorted(SHAPES), help="random weights of this shape instead of a model")
    parser.add_argument("--device", help="cpu or cuda")
    parser.add_argument(
        "--targets", choices=sorted(TARGETS), default="qv", help="layers adapted; the paper's are q and v"
    )
    parser.add_argument("--n", type=int, default=24, help="adapters at once")
    parser.add_argument("--budget", type=int, default=1024, help="tokens of one pass")
    parser.add_argument("--edits", type=int, default=100, help="self-edits in the queue")
    parser.add_argument("--rounds", type=int, default=5, help="paired rounds; 0 for none")
    parser.add_argument("--tokens", type=int, default=4000, help="our window")
    parser.add_argument("--peft-tokens", type=int, default=1000, help="PEFT's window")
    parser.add_argument("--generate-edits", type=int, default=4, help="self-edits whose questions `generate` answers")
    parser.add_argument("--answer-tokens", type=int, default=32, help="tokens of each answer, in all ways")
    parser.add_argument("--rows", type=int, default=64, help="answers decoded at once")
    parser.add_argument("--sweep", type=lambda text: [int(n) for n in text.split(",")], help="values of n, as 1,4,16")
    parser.add_argument("--whole", type=int, default=0, help="train and ask so many self-edits, from start to end")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write it to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
