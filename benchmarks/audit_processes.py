"""Do rules hold against many processes, wrong clocks and hostile names?

python -m benchmarks.audit_processes

50 processes wait for a signal and then all commit to one store under "3 updates an hour"; again with the clock of each
set back by up to two days; and 500 names such as `../../x` as titles, paths, ids, actors and keys, after which nothing
beside the store may be other than before, and nothing in it have a name that is not ours.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from selfedit.audit import read_kept, verify
from selfedit.errors import UserError
from selfedit.store import Store, approve, differences, reject
from selfedit.types import DocumentRef, Flag, ModelRef
from tests.store.make import make_version

RESULT = Path(__file__).parent / "results" / "audit_processes.json"
_OURS = re.compile(
    r"(store\.json|audit\.jsonl|audit-head\.json|lineage\.jsonl|(adapters|pending|rejected|rules|staging|versions|work)"
    r"(/lock|/[vrp][0-9]+(/(version\.json|rollouts\.jsonl|learnt\.jsonl|README\.md))?|/[0-9a-f]{64}\.yaml|/[0-9a-f]+)?)"
)

RACER = """
import random, sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
import selfedit.audit.log
from selfedit.rules import LimitError
from selfedit.store import Store
from tests.store.make import make_version
back = timedelta(seconds=float(sys.argv[2]))
class Clock(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(timezone.utc) - back
if back:
    selfedit.audit.log.datetime = Clock
store = Store.open(Path(sys.argv[1]), actor=sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
try:
    print(store.commit(make_version()).id)
except LimitError:
    print("limit")
"""

_BITS = (
    "../../x",
    "..\\\\..\\\\x",
    "/etc/passwd",
    "; rm -rf ~",
    "$(touch x)",
    "`touch x`",
    "a\0b",
    "a\nb",
    "\x1b[2J",
    "\x9b31m",
    "\u202etxt.exe",
    "v1/../../x",
    "r1",
    "p1/..",
    "~",
    "con",
    "a" * 300,
    "%2e%2e%2f",
    "\ud800",
    "{}",
    "{0.__class__}",
    "<b>",
    "|",
    "store.json",
    "audit.jsonl",
    ".",
    "..",
    "",
    " ",
    "\ufeffx",
    "file:///x",
    "\\\\\\\\host\\\\x",
    "*",
    "-rf",
    "--store=x",
)


def race(folder: Path, processes: int, draw: random.Random, back: bool) -> dict[str, Any]:
    store = Store.open(folder / "store", create=True)
    store.set_rules(b"updates_per_hour: 3\n", "rules.yaml")
    pipe = subprocess.PIPE
    offsets = [draw.uniform(60, 172_800) if back else 0 for _ in range(processes)]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(store.path), str(offset), f"racer {i}"],
            stdin=pipe,
            stdout=pipe,
            text=True,
        )
        for i, offset in enumerate(offsets)
    ]
    for racer in racers:
        assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
    began = time.monotonic()
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    outcomes = Counter(racer.communicate()[0].strip() for racer in racers)
    log = store.audit
    return {
        "processes": processes,
        "clocks set back": back,
        "commits": len(store.ids()),
        "outcomes": dict(sorted(outcomes.items())),
        "entries": log.head.count if log.head else 0,
        "log whole": not verify(log.path.read_bytes(), read_kept(log.head_path)) and not differences(store),
        "seconds": round(time.monotonic() - began, 2),
    }


def hostile(folder: Path, names: int, draw: random.Random) -> dict[str, Any]:
    """Use each name in every place where a name of somebody else's may come in."""
    (folder / "beside.txt").write_text("as it was")
    store = Store.open(folder / "store", create=True)
    store.set_rules(b"approval: flagged\n", "rules.yaml")
    store.ensure_writable()
    before = _seen(folder, store.path)
    refused = taken = 0
    for i in range(names):
        name = "".join(draw.choices(_BITS, k=draw.choice([1, 1, 2, 3])))
        version = replace(
            make_version(),
            created=str(i),
            documents=(DocumentRef(name, name, "a" * 64),),
            base=ModelRef(name, "f" * 64),
            tasks=tuple(replace(task, title=name) for task in make_version().tasks),
            flags=(Flag(name, name, name, name, name, name),) if i % 2 else (),
        )
        calls: tuple[Callable[[], object], ...] = (
            lambda v=version: store.commit(v),  # type: ignore[misc]
            lambda n=name: store.get(n),  # type: ignore[misc]
            lambda n=name: store.activate(n, "use"),  # type: ignore[misc]
            lambda n=name: approve(store, n),  # type: ignore[misc]
            lambda n=name: reject(store, n, n or "why"),  # type: ignore[misc]
            lambda n=name: store.journal(n).close(),  # type: ignore[misc]
            lambda n=name: store.adapters.load(n),  # type: ignore[misc]
            lambda n=name: Store.open(store.path, actor=n).audit.record("read", n, hashes={n: [n]}, x=n),  # type: ignore[misc]
            lambda v=version: store.admit(v.documents, [1]),  # type: ignore[misc]
        )
        for call in calls:
            try:
                call()
                taken += 1
            except (UserError, ValueError):
                refused += 1
    left = [str(p.relative_to(store.path)) for p in store.path.rglob("*")]
    log = store.audit
    return {
        "names": names,
        "calls that took one": taken,
        "calls that refused one": refused,
        "changed beside the store": len(before.symmetric_difference(_seen(folder, store.path))),
        "names in the store that are not ours": [name for name in left if not _OURS.fullmatch(name)],
        "lines of the log": log.path.read_bytes().count(b"\n"),
        "log whole": not verify(log.path.read_bytes(), read_kept(log.head_path)),
        "log is plain ASCII": log.path.read_bytes().isascii() and b"\x1b" not in log.path.read_bytes(),
    }


def _seen(folder: Path, store: Path) -> set[tuple[str, str]]:
    """All files around the store, and what is in them."""
    seen = set()
    for path in (*folder.rglob("*"), *Path.cwd().glob("*")):
        if not path.is_relative_to(store):
            with suppress(OSError):
                seen.add((str(path), hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""))
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=50)
    parser.add_argument("--names", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    result: dict[str, Any] = {"seed": arguments.seed}
    for what in ("right clocks", "clocks set back"):
        with tempfile.TemporaryDirectory() as name:
            result[what] = race(Path(name), arguments.processes, draw, back=what == "clocks set back")
            print(what, result[what], flush=True)
    with tempfile.TemporaryDirectory() as name:
        result["hostile names"] = hostile(Path(name), arguments.names, draw)
        print(result["hostile names"])
    result["machine"] = machine()
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
