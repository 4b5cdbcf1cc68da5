"""Eight self-edits of one ARC task at once, against one after another through PEFT: seconds an edit.

    python -m benchmarks.fewshot_edits --out benchmarks/results/fewshot_edits-cpu.json

The same recipes (rank 128 on q, v, gate, up and down; batch 2; the fixed settings with different seeds) are trained in
both ways, in turn, and every adapter predicts the task's test outputs: all together, or one after another.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, peak_memory
from benchmarks.workload import BARE, train
from selfedit.domains.fewshot import FewshotDomain
from selfedit.domains.fewshot.problem import demonstrations_of
from selfedit.domains.fewshot.read import arc_task
from selfedit.generate.base import Request
from selfedit.generate.batched import BatchedGenerator
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.inner.peft import PeftInnerLoop
from selfedit.models import DEFAULT_MODEL, load
from selfedit.models.prompt import Prompter
from selfedit.runtime import software_versions
from selfedit.solve.run import HYPERPARAMETERS
from selfedit.types import Adapter, Recipe, SelfEdit


def main() -> None:
    options = arguments()
    base = load(options.model, device=options.device)
    prompter = Prompter(base.tokenizer, base.has_chat_template)
    domain = FewshotDomain(prompter, base.stop_token_ids[0], max_tokens=options.max_tokens)
    task = arc_task(options.task)
    fixed = SelfEdit("fixed", task.id, "none", "", "", 0)
    recipes = [
        replace(domain.recipe(task, fixed, HYPERPARAMETERS, seed), id=f"e{seed}") for seed in range(options.edits)
    ]
    tokens = sum(recipe.tokens_per_epoch * recipe.hyperparameters.epochs for recipe in recipes)
    kind, pairs = demonstrations_of(task)
    longest = 2 * max(len(domain.written(kind, pair.output)) for pair in pairs)
    generator = BatchedGenerator(base.model, base.tokenizer, frozenset(), slots=options.edits)

    def predict(adapters: list[Adapter]) -> None:
        prompts = [domain.question(task, probe) for probe in task.probes]
        requests = [Request(prompt, BARE.with_update(adapter), longest) for adapter in adapters for prompt in prompts]
        generator.generate(requests)

    def together() -> None:
        predict(train(BatchedInnerLoop(base.model, options.edits, options.token_budget), recipes))

    def one_by_one() -> None:
        one: list[Recipe] = recipes[: options.peft_edits]
        for recipe in one:
            predict(train(PeftInnerLoop(base.model), [recipe]))

    rounds = []
    for _ in range(options.rounds):
        row = {}
        for name, work, count in (("together", together, options.edits), ("peft", one_by_one, options.peft_edits)):
            started = time.perf_counter()
            work()
            row[name] = (time.perf_counter() - started) / count
        rounds.append(row)
        print({name: round(value, 1) for name, value in row.items()}, flush=True)
    ratios = [row["peft"] / row["together"] for row in rounds]
    result: dict[str, Any] = {
        "seconds_per_edit": statistics.median(row["together"] for row in rounds),
        "seconds_per_edit_peft": statistics.median(row["peft"] for row in rounds),
        "ratio_peft": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "tokens_per_edit": tokens / len(recipes),
        "rounds": rounds,
        "peak_memory_gib": peak_memory(base.model.device) / 2**30,
        "options": {name: str(value) for name, value in vars(options).items()},
        "machine": machine(),
        "software": software_versions(),
    }
    print(json.dumps({name: value for name, value in result.items() if isinstance(value, float)}))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--device")
    parser.add_argument("--task", default="25ff71a9", help="an ARC id")
    parser.add_argument("--edits", type=int, default=8)
    parser.add_argument("--peft-edits", type=int, default=2, help="of these, trained through PEFT")
    parser.add_argument("--max-tokens", type=int, default=1600, help="training tokens of an edit, all epochs together")
    parser.add_argument("--token-budget", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
