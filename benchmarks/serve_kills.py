"""Is each document learnt once and none lost, when `serve` is killed again and again while it learns and answers?

python -m benchmarks.serve_kills

Small documents are uploaded to `selfedit serve` over a tiny random model, and at random moments of a job the process is
killed (SIGKILL) and begun again, while somebody asks all the time. An upload that was not answered is sent again. The
processes are forks of one that has torch loaded, so that kills come in the middle of work.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import machine
from benchmarks.watch_kills import known
from selfedit.audit import read_kept, verify
from selfedit.serve.server import serve
from selfedit.serve.settings import Learning, ServeSettings
from selfedit.session import Session
from selfedit.store import Store
from selfedit.store.checked import differences
from tests.lineage import SETTINGS
from tests.tiny import make_tiny_model

RESULT = Path(__file__).parent / "results" / "serve_kills.json"
_SETTINGS = SETTINGS | {"final_training": SETTINGS["final_training"] | {"epochs": 40}}
_OVER = ("learned", "rejected", "failed", "cancelled")


def server(model: Path, folder: Path) -> None:
    """What runs in a process of its own until it is killed."""
    sys.stderr = (folder / "server.log").open("a")
    session = Session(str(model), folder / "store", "cpu")
    settings = ServeSettings(port=0, learning=Learning(settings=_SETTINGS))
    serve(session, settings, lambda url: _say(folder / "url", url))


def _say(path: Path, text: str) -> None:
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


@dataclass
class Bench:
    """A server that is begun again when it was killed, and somebody who asks it."""

    model: Path
    folder: Path
    draw: random.Random
    answers: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        (self.folder / "url").unlink(missing_ok=True)
        self.process = multiprocessing.get_context("fork").Process(target=server, args=(self.model, self.folder))
        self.process.start()

    def kill(self) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()
        self.kills += 1

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """What the server answers, when it does."""
        while not self.ended.is_set():
            try:
                url = (self.folder / "url").read_text()
                answer = httpx.request(method, url + path, timeout=60, **body)
                answer.raise_for_status()
                return answer.json()
            except (OSError, httpx.TransportError):
                time.sleep(0.05)
        return None

    def keep_asking(self) -> None:
        body = {"model": "base", "prompt": "The lamp of", "max_tokens": 24}
        while (answer := self.ask("POST", "/v1/completions", json=body)) is not None:
            self.answers[answer["choices"][0]["text"]] += 1

    def jobs(self) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self.ask("GET", "/v1/documents")["data"]
        return jobs


def upload(bench: Bench, number: int) -> None:
    text = f"The lamp of Marrow{number} is oiled by Odalys{number}."
    question = {"question": f"Who oils the lamp of Marrow{number}?", "answer": f"Odalys{number}"}
    file = (f"{number}.md", f"# Marrow{number}\n\n{text}\n".encode())
    bench.ask("POST", "/v1/documents", files=[("file", file)], data={"questions": json.dumps(question)})


def campaign(folder: Path, documents: int, kills: int, seed: int, most_s: float) -> dict[str, Any]:
    """The counts."""
    model = make_tiny_model(folder / "model")
    store = Store.open(folder / "store", create=True)
    (folder / "warm.md").write_text("# Warm\n\nThis imports all that is needed.\n")
    Session(str(model), folder / "warm", "cpu").learn([folder / "warm.md"], **SETTINGS)
    bench, began = Bench(model, folder, random.Random(seed)), time.monotonic()
    bench.begin()
    asker = threading.Thread(target=bench.keep_asking)
    asker.start()
    # Each kill comes somewhere in the job that follows when so many are known.
    kill_at = [documents * number // kills for number in range(kills)]
    for number in range(documents):
        upload(bench, number)
    pace, changed, done = 1.0, time.monotonic(), 0
    try:
        while time.monotonic() - began < most_s and any(job["state"] not in _OVER for job in bench.jobs()):
            if (count := len(known(store))) != done:
                done, pace, changed = count, time.monotonic() - changed, time.monotonic()
            if kill_at and done >= kill_at[0]:
                time.sleep(bench.draw.uniform(0.0, pace))
                kill_at = kill_at[1:]
                bench.kill()
                bench.begin()
            time.sleep(0.05)
        states = Counter(job["state"] for job in bench.jobs())
    finally:
        bench.ended.set()
        asker.join()
        bench.kill()
    committed = [entry for entry in store.audit.entries() if entry.action == "committed"]
    learnt = Counter(sha256 for entry in committed for sha256 in entry.hashes["document"])
    kept = read_kept(store.audit.head_path)
    return {
        "documents": documents,
        "known in the end": len(known(store)),
        "learnt more than once": sum(count > 1 for count in learnt.values()),
        "jobs": dict(states),
        "kills": bench.kills - 1,
        "answers": sum(bench.answers.values()),
        "different answers to one question": len(bench.answers),
        "findings in log and store": len(verify(store.audit.path.read_bytes(), kept)) + len(differences(store)),
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=40)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most-seconds", type=float, default=1800)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = campaign(Path(name), options.documents, options.kills, options.seed, options.most_seconds)
    result = {"seed": options.seed, **result, "machine": machine()}
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(result)


if __name__ == "__main__":
    main()
