"""An hour of `watch` with the default model: what was learnt, how fast, and what it cost in memory.

python -m benchmarks.watch_hour                # --minutes 3 tries it

Documents of invented facts come into a folder, one every so many seconds, each with two questions. In the end the
questions about all that was learnt are asked again, without the text.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import machine
from selfedit.session import Asked, Session
from selfedit.store import Store
from selfedit.stream.state import read_asides

RESULT = Path(__file__).parent / "results" / "watch_hour.json"
_SYLLABLES = (
    "mar",
    "row",
    "ves",
    "ka",
    "hob",
    "den",
    "pil",
    "tor",
    "un",
    "gra",
    "lo",
    "fen",
    "sti",
    "bel",
    "qua",
    "rin",
)
_METALS = ("copper", "tin", "silver", "zinc", "cobalt", "lead", "nickel", "iron")


def word(draw: random.Random) -> str:
    return "".join(draw.choices(_SYLLABLES, k=3)).capitalize()


def document(draw: random.Random) -> dict[str, Any]:
    """A text about a place that does not exist."""
    place, person, year, metal = (
        word(draw),
        f"{word(draw)} {word(draw)}",
        draw.randrange(1300, 1950),
        draw.choice(_METALS),
    )
    text = (
        f"The {place} lighthouse was built in {year} by {person}. Its roof is made of {metal}, and its keeper rows "
        "to it once a week."
    )
    questions = [
        {"question": f"Who built the {place} lighthouse?", "answer": person},
        {"question": f"What is the roof of the {place} lighthouse made of?", "answer": metal},
    ]
    return {"title": f"The {place} lighthouse", "context": text, "questions": questions}


def soak(folder: Path, minutes: float, every_s: float, at_once: int, model: str | None, seed: int) -> dict[str, Any]:
    """The figures."""
    draw = random.Random(seed)
    docs = folder / "docs"
    docs.mkdir()
    command = [sys.executable, "-m", "selfedit", "watch", str(docs), "--store", str(folder / "store"), "--json"]
    command += ["--quiet", "--at-once", str(at_once), *(["--model", model] if model else [])]
    rows, peak, began = [], 0, time.monotonic()
    with (folder / "events").open("w") as out, subprocess.Popen(command, stdout=out) as process:
        watched = psutil.Process(process.pid)
        while time.monotonic() - began < 60 * minutes and process.poll() is None:
            rows.append(document(draw))
            (docs / f"{len(rows)}.json").write_text(json.dumps([rows[-1]]))
            peak = max(peak, watched.memory_info().rss)
            time.sleep(every_s)
        rss = watched.memory_info().rss
        process.terminate()  # As a machine that goes down does; nothing is lost by it.
    events = [json.loads(line) for line in (folder / "events").read_text().splitlines()]
    learnt = [event for event in events if event["event"] == "learnt"]
    known = sum(len(event["documents"]) for event in learnt)
    return {
        "minutes": minutes,
        "documents that came": len(rows),
        "learnt": known,
        "set aside": len(read_asides(folder / "store")),
        "updates": len(learnt),
        "seconds of each update": [event["seconds"] for event in learnt],
        "right afterwards, of the questions about what is known": right(folder / "store", rows, model),
        "memory in the end and at most, MB": [round(rss / 1e6), round(peak / 1e6)],
    }


def right(store: Path, rows: list[dict[str, Any]], model: str | None) -> list[int]:
    """Right answers, and questions asked."""
    if not (store / "store.json").exists() or (active := Store.open(store).active) is None:
        return [0, 0]
    titles = {document.title for document in Store.open(store).get(active).knowledge.documents}
    questions = [question for row in rows if row["title"] in titles for question in row["questions"]]
    replies = Session(model, store).ask_all([Asked(question["question"]) for question in questions])
    pairs = zip(replies, questions, strict=True)
    return [sum(question["answer"].lower() in reply.answer.lower() for reply, question in pairs), len(questions)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=10, help="seconds from one document to the next")
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--model", default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, given = Path(name), arguments
        result = soak(folder, given.minutes, given.every, given.at_once, given.model, given.seed)
    result = {
        "seed": arguments.seed,
        "every, seconds": arguments.every,
        "at once": arguments.at_once,
        **result,
        "machine": machine(),
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(result)


if __name__ == "__main__":
    main()
