"""Does any rule file or line of a log make selfedit fall over or hang?

python -m benchmarks.rules_fuzz

10,000 texts that are nearly rules, and 10,000 that are nearly lines of an audit log: bytes changed, pieces put in,
lines moved. A mistake is one printable line; anything else that is raised counts as a crash.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from selfedit.audit import read_kept, verify
from selfedit.errors import UserError
from selfedit.rules import read_rules
from tests.audit.tampering import make_log
from tests.rules.garbled import garbled
from tests.rules.test_rules import WHOLE

RESULT = Path(__file__).parent / "results" / "rules_fuzz.json"


def campaign(count: int, once: Callable[[random.Random], str], seed: int) -> dict[str, Any]:
    draw, outcomes, slowest = random.Random(seed), Counter[str](), 0.0
    for _ in range(count):
        began = time.process_time()
        try:
            outcomes[once(draw)] += 1
        except Exception as error:
            outcomes[f"crash: {type(error).__name__}"] += 1
        slowest = max(slowest, time.process_time() - began)
    return {"count": count, "outcomes": dict(outcomes), "slowest, CPU seconds": round(slowest, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "docs").mkdir()
        log = make_log(folder / "store", 4)
        kept, lines = read_kept(log.head_path), log.path.read_bytes().split(b"\n")[:-1]

        def rules(draw: random.Random) -> str:
            try:
                read_rules(garbled(WHOLE, draw), "rules.yaml", folder)
            except UserError as error:
                return "refused in one line" if str(error).isprintable() else "crash: not one printable line"
            return "taken"

        def line(draw: random.Random) -> str:
            at = draw.randrange(4)
            other = garbled(lines[at], draw)
            if other == lines[at]:
                return "unchanged"
            data = b"\n".join([*lines[:at], other, *lines[at + 1 :]]) + b"\n"
            log.path.write_bytes(data)
            try:
                log.entries()
            except UserError as error:
                assert str(error).isprintable()
            return "found" if verify(data, kept) else "crash: not found"

        result = {
            "seed": arguments.seed,
            "rule files": campaign(arguments.count, rules, arguments.seed),
            "log lines": campaign(arguments.count, line, arguments.seed),
            "machine": machine(),
        }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(result)


if __name__ == "__main__":
    main()
