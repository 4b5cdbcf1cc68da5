"""What does `ask` cost over 1, 100 and 1,000 adapters? Latency of a question and memory, the default model.

    python -m benchmarks.many_adapters --out benchmarks/results/many_adapters-cpu.json

The passages are SQuAD's (../shared/data/squad/val.json), each with one of its questions as the one that its adapter was
taught; the adapters are random and small (rank 1 on q and v), since training a thousand says nothing about asking. Each
size is asked in processes of its own, which take turns: a process loads the model, answers one question, and then
twenty more, one at a time, each about another passage.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import machine
from selfedit.runtime import software_versions

SQUAD = Path(__file__).parent.parent.parent / "shared" / "data" / "squad" / "val.json"
SIZES = (1, 100, 1000)
ASKED = 20


def make_store(path: Path, size: int) -> None:
    """A store whose active version has this many adapters."""
    import torch

    from selfedit.models import load
    from selfedit.multilora.model import layer_shapes, resolve_targets
    from selfedit.store import Store
    from selfedit.types import (
        Adapter,
        DocumentRef,
        Knowledge,
        Learnt,
        LoraFactors,
        LoraSpec,
        Probe,
        SelfEdit,
        Task,
        Version,
    )

    base = load("smollm2-135m")
    lora = LoraSpec(rank=1, alpha=1.0, target_modules=("q_proj", "v_proj"))
    shapes = layer_shapes(base.model, resolve_targets(base.model, lora.target_modules))
    store = Store.open(path, create=True)
    learnt = []
    for number, passage in enumerate(json.loads(SQUAD.read_text())[:size]):
        draw = torch.Generator().manual_seed(number)
        factors = {
            name: LoraFactors(1e-3 * torch.randn(1, wide, generator=draw), torch.randn(tall, 1, generator=draw))
            for name, (wide, tall) in shapes.items()
        }
        sha256 = store.put_adapter(Adapter(f"p{number}", lora, factors), base.ref.name)
        asked = passage["questions"][0]
        edit = SelfEdit(f"e{number}", f"p{number}", "self-qa", "", f"Question: {asked['question']}\nAnswer: x", 0)
        task = Task(
            f"p{number}", passage["title"], passage["context"], (Probe(f"q{number}", asked["question"], ("x",)),)
        )
        learnt.append(Learnt(DocumentRef(f"{number}.md", passage["title"], f"{number:064x}"), task, (edit,), 0, sha256))
    blank = Version("", "2026-01-01", base.ref, (), (), "file", 0, {}, {}, (), (), (), (), 0.0)
    store.commit(replace(blank, knowledge=Knowledge("routed", tuple(learnt))))


def ask(store: Path, size: int) -> dict[str, Any]:
    """The figures of one process."""
    from selfedit.session import Session

    passages = json.loads(SQUAD.read_text())[:size]
    session = Session("smollm2-135m", store)
    started = time.perf_counter()
    assert session.base
    loaded = time.perf_counter()
    times, routed = [], 0
    for number in range(ASKED + 1):
        question = passages[(number * 7) % size]["questions"][0]["question"]
        begun = time.perf_counter()
        reply = session.ask(question, max_new_tokens=8)
        times.append(time.perf_counter() - begun)
        routed += reply.source is not None
    return {
        "adapters": size,
        "load": loaded - started,
        "first": times[0],
        "next": times[1:],
        "routed": routed,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/many_adapters-cpu.json"))
    parser.add_argument("--ask", nargs=2, metavar=("STORE", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        print(json.dumps(ask(Path(options.ask[0]), int(options.ask[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            make_store(Path(folder) / str(size), size)
        rows = []
        for _ in range(options.rounds):
            for size in SIZES:
                command = [sys.executable, "-m", "benchmarks.many_adapters", "--ask", f"{folder}/{size}", str(size)]
                rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    record = {"machine": machine(), "software": software_versions(), "runs": rows}
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    print("| adapters | first question, s | further ones, s (median) | peak memory, MB | to an adapter |")
    print("|---|---|---|---|---|")
    for size in SIZES:
        mine = [row for row in rows if row["adapters"] == size]
        later = median(value for row in mine for value in row["next"])
        peak = max(row["peak_bytes"] for row in mine) / 1e6
        first, to = median(row["first"] for row in mine), mine[0]["routed"]
        print(f"| {size} | {first:.2f} | {later:.2f} | {peak:.0f} | {to} of {ASKED + 1} |")


if __name__ == "__main__":
    main()
