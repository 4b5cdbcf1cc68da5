"""Two workers with a core each, or one with two? Adapters an hour of `engine.executor: processes`, in one run.

python -m benchmarks.processes                # the default model, 24 adapters each way, in turn, `--rounds` times

The adapters are trained on passages of the bundled documents and asked two questions each, in chunks of `--chunk`. Both
ways are there at once and take turns, the same chunks each time, so that whatever else the machine does is shared. The
time of loading the base is not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import machine
from selfedit.executors import spec_of
from selfedit.executors.pool import PoolExecutor
from selfedit.executors.processes import ProcessFleet
from selfedit.executors.wire import pack_spec
from selfedit.models.load import load
from selfedit.progress import LineProgress
from selfedit.runtime import software_versions
from selfedit.search.executor import Chunk, TrialJob
from selfedit.settings import Composition
from selfedit.types import Example, Hyperparameters, Model, Probe, Recipe, Task

RESULT = Path(__file__).parent / "results" / "processes.json"


def jobs(base: Any, count: int) -> list[TrialJob]:
    """An adapter for each of `count` made-up facts, trained on the sentence as often as an edit would say it."""
    made = []
    for n in range(count):
        fact = f"The bridge of Arlen {n} was built in {1800 + n} by a mason named Odo Farn, of granite from Corve."
        lines = [
            fact,
            f"Odo Farn built the bridge of Arlen {n}.",
            f"Arlen {n} has had a granite bridge since {1800 + n}.",
        ]
        examples = []
        for line in lines * 3:
            tokens = tuple(base.tokenizer.encode(line))
            examples.append(Example(tokens, (0.0,) + (1.0,) * (len(tokens) - 1)))
        probes = (
            Probe(f"{n}a", f"When was the bridge of Arlen {n} built?", (str(1800 + n),)),
            Probe(f"{n}b", f"Who built the bridge of Arlen {n}?", ("Odo Farn",)),
        )
        recipe = Recipe(f"e{n}.s0", tuple(examples), Hyperparameters(), n)
        made.append(TrialJob(Task(f"t{n}", f"Arlen {n}", fact, probes), f"e{n}", recipe))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--adapters", type=int, default=24)
    parser.add_argument("--chunk", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    os.environ.pop("OMP_NUM_THREADS", None)  # A share of the cores is given to each worker.
    base = load(args.model, device="cpu")
    composition = Composition(format="implications", max_answer_tokens=16, reward="logprob")
    spec = pack_spec(spec_of(base, composition, "cpu"))
    model, progress = Model(base.ref), LineProgress()
    all_jobs = jobs(base, args.adapters)
    starts = range(0, len(all_jobs), args.chunk)
    chunks = [Chunk(f"c{at}", tuple(all_jobs[at : at + args.chunk])) for at in starts]
    ways = {
        "one worker, two cores": [{"OMP_NUM_THREADS": "2"}],
        "two workers, a core each": [{"OMP_NUM_THREADS": "1"}] * 2,
    }
    pools = {name: PoolExecutor(ProcessFleet(spec, shares), progress, name, 1) for name, shares in ways.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    hashes: dict[str, set[str]] = {name: set() for name in ways}
    try:
        for _ in range(args.rounds):
            for name, pool in pools.items():
                began = time.monotonic()
                for done in pool.trials(chunks, model, name, 0, lambda _: None):
                    hashes[name] |= {trial.adapter_sha256 for trial in done.trials}
                seconds[name].append(time.monotonic() - began)
    finally:
        for pool in pools.values():
            pool.close()
    rates = {name: 3600 * args.adapters / median(times) for name, times in seconds.items()}
    one, two = ways
    result = {
        "machine": machine(),
        "software": software_versions(),
        "model": args.model,
        "adapters": args.adapters,
        "chunk": args.chunk,
        "seconds": seconds,
        "adapters_an_hour": rates,
        "two_over_one": rates[two] / rates[one],
        "alike_from_round_to_round": {name: len(found) == args.adapters for name, found in hashes.items()},
        "adapters_alike_to_the_bit": len(hashes[one] & hashes[two]),
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
