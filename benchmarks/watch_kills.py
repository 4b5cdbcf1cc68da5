"""Is each document learnt once and none lost, when `watch` is killed again and again?

python -m benchmarks.watch_kills

100 small documents come into a folder that `selfedit watch` learns with a tiny random model, and 10 times, at random
moments of an update, the process is killed (SIGKILL) and begun again. The rules demand some seconds between updates,
which the audit log is asked for afterwards. The processes are forks of one that has torch loaded, so that kills come in
the middle of work.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from selfedit.audit import read_kept, verify
from selfedit.session import Session
from selfedit.store import Store
from selfedit.store.checked import differences
from selfedit.stream.start import StreamOptions, watch
from selfedit.stream.state import read_asides
from tests.lineage import SETTINGS
from tests.tiny import make_tiny_model

RESULT = Path(__file__).parent / "results" / "watch_kills.json"
_OPTIONS = StreamOptions(settle=0.3, at_once=8)


def write(folder: Path, number: int) -> None:
    """A document with its question."""
    text = f"The lamp of Marrow{number} is oiled by Odalys{number}."
    question = {"question": f"Who oils the lamp of Marrow{number}?", "answer": f"Odalys{number}"}
    row = {"title": f"Marrow{number}", "context": text, "questions": [question]}
    (folder / f"{number}.json").write_text(json.dumps([row]))


def watcher(model: Path, folder: Path, events: Path) -> None:
    """What runs in a process of its own until it is killed."""
    with events.open("a") as file:
        session = Session(str(model), folder / "store", "cpu")

        def tell(event: Any) -> None:
            file.write(json.dumps({"event": event.kind, "text": event.text}) + "\n")
            file.flush()

        watch(session, folder / "docs", _OPTIONS, SETTINGS, tell, lambda _: None)


def campaign(folder: Path, documents: int, kills: int, between_s: float, seed: int, most_s: float) -> dict[str, Any]:
    """The counts."""
    draw = random.Random(seed)
    model = make_tiny_model(folder / "model")
    docs, events = folder / "docs", folder / "events.jsonl"
    docs.mkdir()
    store = Store.open(folder / "store", create=True)
    store.set_rules(f"minutes_between: {between_s / 60}\n".encode(), "rules")
    write(folder, 0)
    Session(str(model), folder / "warm", "cpu").learn([folder / "0.json"], **SETTINGS)  # Imports all.
    fork = multiprocessing.get_context("fork")
    killed, written, began = 0, 0, time.monotonic()
    process = fork.Process(target=watcher, args=(model, folder, events))
    process.start()
    # Each kill comes somewhere in the update that follows when so many are known.
    kill_at = [documents * number // kills for number in range(kills)]
    done, changed, pace, moment = 0, began, 5.0, None
    while time.monotonic() - began < most_s and (written < documents or done < documents or kill_at):
        time.sleep(draw.uniform(0.02, 0.4))
        now = time.monotonic()
        if written < documents:
            write(docs, written)
            written += 1
        if (count := len(known(store))) != done:
            done, pace, changed = count, now - changed, now
        if kill_at and moment is None and done >= kill_at[0]:
            moment = now + draw.uniform(0.0, pace)
        if moment is not None and now >= moment:
            kill_at, moment = kill_at[1:], None
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            killed += 1
            process = fork.Process(target=watcher, args=(model, folder, events))
            process.start()
    process.kill()
    process.join()
    return counted(store, documents, between_s) | {
        "kills": killed,
        "seconds": round(time.monotonic() - began, 1),
        "limits waited for": sum(1 for event in read(events) if event["event"] == "waiting"),
    }


def read(events: Path) -> list[dict[str, str]]:
    lines = events.read_text().splitlines() if events.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def known(store: Store) -> list[str]:
    active = store.active
    return [document.title for document in store.get(active).knowledge.documents] if active is not None else []


def counted(store: Store, documents: int, between_s: float) -> dict[str, Any]:
    """What the store and its log say afterwards."""
    committed = [entry for entry in store.audit.entries() if entry.action == "committed"]
    learnt = Counter(sha256 for entry in committed for sha256 in entry.hashes["document"])
    least = min(((b.when - a.when).total_seconds() for a, b in pairwise(committed)), default=0.0)
    kept = read_kept(store.audit.head_path)
    return {
        "documents": documents,
        "known in the end": len(known(store)),
        "learnt more than once": sum(count > 1 for count in learnt.values()),
        "set aside": len(read_asides(store.path)),
        "updates": len(committed),
        "seconds between updates, by the rules": between_s,
        "seconds between updates, the least": round(least, 2),
        "findings in log and store": len(verify(store.audit.path.read_bytes(), kept)) + len(differences(store)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--between", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most-seconds", type=float, default=1800)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = campaign(
            folder, arguments.documents, arguments.kills, arguments.between, arguments.seed, arguments.most_seconds
        )
    result = {"seed": arguments.seed, **result, "machine": machine()}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(result)


if __name__ == "__main__":
    main()
