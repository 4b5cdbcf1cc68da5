"""Does any line on standard input make `learn -` fall over or hang, and is any lost?

python -m benchmarks.stream_fuzz

10,000 lines that are nearly what a stream takes: whole, with bytes and pieces changed, or noise. Each has to be a
document in the inbox, a question with one, feedback, or set aside with a printable reason and the line itself.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from selfedit.store import parse_feedback
from selfedit.stream.base import Aside, Changed, Said
from selfedit.stream.inbox import Inbox
from selfedit.stream.lines import LineSource
from tests.stream.garbled import garbled_line

RESULT = Path(__file__).parent / "results" / "stream_fuzz.json"


def campaign(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """What became of so many lines."""
    draw = random.Random(seed)
    lines = [garbled_line(draw) for _ in range(count)]
    inbox = Inbox(folder / "inbox")
    outcomes: Counter[str] = Counter(blank=sum(not line.strip() for line in lines))
    began = time.monotonic()
    slowest = 0.0
    source = LineSource(io.BytesIO(b"\n".join(lines) + b"\n"), inbox)
    while not source.ended:
        started = time.monotonic()
        for arrival in source.poll(0.1):
            outcomes[outcome(arrival, inbox, lines)] += 1
        slowest = max(slowest, time.monotonic() - started)
    outside = [path for path in folder.rglob("*") if path.is_file() and path.parent.name not in ("inbox", "lines")]
    return {
        "lines": count,
        "outcomes": dict(outcomes),
        "lost": count - sum(outcomes.values()),
        "files elsewhere": len(outside),
        "seconds": round(time.monotonic() - began, 1),
        "slowest turn, seconds": round(slowest, 2),
    }


def outcome(arrival: object, inbox: Inbox, lines: list[bytes]) -> str:
    """A word for what came of a line; one that begins with "crash" is a fault."""
    if isinstance(arrival, Changed):
        return "document or question" if arrival.path.parent == inbox.folder else "crash: another path"
    if isinstance(arrival, Said):
        try:
            parse_feedback(arrival.fields)
        except ValueError as error:
            return "no feedback" if str(error) else "crash: without a reason"
        return "feedback"
    assert isinstance(arrival, Aside)
    number = int(arrival.where.removeprefix("line "))
    kept = Path(arrival.file).read_bytes() if arrival.file else None
    whole = lines[number - 1]
    if (kept if kept is not None else arrival.text.encode()) != (
        whole if kept is not None else whole.decode("utf-8", "backslashreplace").encode()
    ):
        return "crash: another line was kept"
    return "set aside" if arrival.why.isprintable() and arrival.why else "crash: no printable reason"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = {"seed": arguments.seed, **campaign(Path(name), arguments.count, arguments.seed), "machine": machine()}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(result)


if __name__ == "__main__":
    main()
