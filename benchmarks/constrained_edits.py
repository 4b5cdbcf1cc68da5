"""How many few-shot self-edits are valid: sampled freely, and under the grammar?

    python -m benchmarks.constrained_edits --out benchmarks/results/constrained_edits.json

The default model writes edits about small ARC tasks at temperature 1. Each one is parsed by the strict parser.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.workload import BARE
from selfedit.domains.fewshot.choices import choices_of
from selfedit.domains.fewshot.prompt import FORMATS
from selfedit.domains.fewshot.read import read_source
from selfedit.generate.batched import BatchedGenerator
from selfedit.models import DEFAULT_MODEL, load
from selfedit.models.prompt import Prompter
from selfedit.policies.model import ModelPolicy
from selfedit.runtime import software_versions

TASKS = "6150a2bd,e9afcf9a,5582e5ca,d037b0a7,25ff71a9"
MAX_TOKENS = 128


def measure(policy: ModelPolicy, edits: int) -> dict[str, Any]:
    """The share of valid edits, how many are different, and why others are not valid."""
    tasks = read_source(TASKS)
    started = time.perf_counter()
    written = policy.propose(tasks, edits // len(tasks), 0, BARE)
    seconds = time.perf_counter() - started
    by_id = {task.id: task for task in tasks}
    reasons: Counter[str] = Counter()
    valid = []
    for edit in written:
        try:
            valid.append(choices_of(by_id[edit.task_id], edit))
        except ValueError as error:
            reasons[str(error).partition(" at line")[0][:80]] += 1
    return {
        "edits": len(written),
        "valid": len(valid),
        "different": len(set(valid)),
        "seconds": seconds,
        "reasons": dict(reasons.most_common(5)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--constrained", type=int, default=1000, help="edits under the grammar")
    parser.add_argument("--free", type=int, default=200, help="edits without it")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    base = load(options.model)
    prompter = Prompter(base.tokenizer, base.has_chat_template)
    result: dict[str, Any] = {}
    for name, count in (("constrained", options.constrained), ("free", options.free)):
        generator = BatchedGenerator(base.model, base.tokenizer, frozenset(base.stop_token_ids), max_rows=128)
        policy = ModelPolicy(
            generator,
            prompter,
            FORMATS["settings"],
            base.stop_token_ids,
            1.0,
            1.0,
            MAX_TOKENS,
            constrained=name == "constrained",
        )
        result[name] = measure(policy, count)
        print(f"{name:12} {result[name]}", flush=True)
    result |= {"model": base.name, "tasks": TASKS, "machine": machine(), "software": software_versions()}
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
