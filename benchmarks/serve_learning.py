"""How long do answers stand still while the server learns beside them, and how much slower does it learn?

    python -m benchmarks.serve_learning --out benchmarks/results/serve-learning-cpu.json
    python -m benchmarks.serve_learning --model tiny --seconds 5        # whether it runs at all, in a minute

`selfedit serve` runs in a process of its own, each time over a new store. Clients ask the base general questions,
greedily and streaming, each the next as soon as the last is answered; what is measured is the time from one token of a
stream to its next. Three times: answers alone; the documents learnt alone; and both at once, until the job has ended.
The same documents are the same work, so that the two times of learning can be compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks.machine import recorded
from selfedit.documents.general import general_tasks
from selfedit.models import DEFAULT_MODEL
from selfedit.store import Store

DEMO = Path(__file__).parents[1] / "selfedit" / "data" / "demo"
_TINY: dict[str, Any] = {
    "format": "none",
    "gates": [],
    "guards": [],
    "final_training": {"rank": 2, "alpha": 4, "epochs": 30, "learning_rate": 0.001},
}
_OVER = ("learned", "rejected", "failed", "cancelled", "waiting")


@dataclass
class Load:
    """What clients saw: seconds from token to token, to the first token, and tokens in all."""

    gaps: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def figures(self) -> dict[str, float]:
        gaps = sorted(self.gaps)
        return {
            "tokens": len(gaps) + len(self.firsts),
            "tokens_per_second": (len(gaps) + len(self.firsts)) / self.seconds,
            "gap_median_s": statistics.median(gaps),
            "gap_99th_s": gaps[min(len(gaps) - 1, int(0.99 * len(gaps)))],
            "gap_longest_s": gaps[-1],
            "first_token_median_s": statistics.median(self.firsts),
            "seconds": self.seconds,
        }


@contextmanager
def served(folder: Path, options: argparse.Namespace, model: str, settings: dict[str, Any]) -> Iterator[str]:
    """The address of a server over a new store."""
    store = Path(tempfile.mkdtemp(dir=folder)) / "store"
    Store.open(store, create=True)
    file = store.parent / "settings.yaml"
    file.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "selfedit", "serve", "--port", "0", "--json", "--store", str(store)]
    command += ["--model", model, "--learn-settings", str(file), "--learning-share", str(options.share)]
    command += ["--learning-pause", str(options.pause)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        said = ""
        while not said.endswith("}\n"):
            if not (line := process.stdout.readline()):
                raise RuntimeError("the server did not start")
            said += line
        try:
            yield json.loads(said)["url"]
        finally:
            process.terminate()
            process.wait(60)


async def stream(http: httpx.AsyncClient, question: str, tokens: int, load: Load) -> None:
    """One answer."""
    messages = [{"role": "user", "content": question}]
    body = {"model": "base", "messages": messages, "max_tokens": tokens, "stream": True}
    last = time.perf_counter()
    begun = False
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line.removeprefix("data: "))
            if "error" in chunk:
                raise RuntimeError(chunk["error"])
            if chunk["choices"][0]["delta"].get("content"):
                now = time.perf_counter()
                (load.gaps if begun else load.firsts).append(now - last)
                last, begun = now, True


async def answering(url: str, options: argparse.Namespace, until: asyncio.Event) -> Load:
    """Clients that ask until something happens; what is under way then is finished."""
    questions = [probe.question for task in general_tasks() for probe in task.probes]
    load, numbers = Load(), count()
    limits = httpx.Limits(max_connections=options.clients)
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=limits) as http:

        async def client() -> None:
            while not until.is_set():
                await stream(http, questions[next(numbers) % len(questions)], options.answer_tokens, load)

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(options.clients)))
        load.seconds = time.perf_counter() - began
    return load


async def learning(url: str, paths: list[Path], questions: Path) -> tuple[float, dict[str, Any]]:
    """The seconds that a job takes, and how it ended. Only questions that are about the documents are sent along."""
    names = {path.name for path in paths}
    asked = [line for line in questions.read_text().splitlines() if json.loads(line).get("document") in names]
    async with httpx.AsyncClient(base_url=url, timeout=600) as http:
        files = [("file", (path.name, path.read_bytes())) for path in paths]
        began = time.perf_counter()
        answer = await http.post("/v1/documents", files=files, data={"questions": "\n".join(asked)})
        answer.raise_for_status()
        while True:
            job = (await http.get(f"/v1/documents/{answer.json()['id']}")).json()
            if job["state"] in _OVER:
                return time.perf_counter() - began, job
            await asyncio.sleep(0.25)


async def alone(url: str, options: argparse.Namespace) -> Load:
    until = asyncio.Event()
    asyncio.get_running_loop().call_later(options.seconds, until.set)
    return await answering(url, options, until)


async def both(url: str, options: argparse.Namespace) -> tuple[Load, float, dict[str, Any]]:
    until = asyncio.Event()
    load = asyncio.create_task(answering(url, options, until))
    await asyncio.sleep(1.0)  # Answers are under way by then.
    seconds, job = await learning(url, options.documents, options.questions)
    until.set()
    return await load, seconds, job


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as name:
        folder, model, settings = Path(name), options.model, {}
        if model == "tiny":
            from tests.tiny import make_tiny_model

            model, settings = str(make_tiny_model(folder / "tiny")), _TINY
        rounds = []
        for _ in range(options.rounds):
            with served(folder, options, model, settings) as url:
                asyncio.run(alone(url, argparse.Namespace(**(vars(options) | {"seconds": 2.0}))))  # Warm.
                answers = asyncio.run(alone(url, options)).figures()
                took, job = asyncio.run(learning(url, options.documents, options.questions))
            with served(folder, options, model, settings) as url:
                load, beside, same = asyncio.run(both(url, options))
            rounds.append(
                {
                    "answers_alone": answers,
                    "answers_beside_learning": load.figures(),
                    "learning_alone_s": took,
                    "learning_beside_answers_s": beside,
                    "learning_times_as_long": beside / took,
                    "jobs": [{key: each[key] for key in ("state", "reason", "result")} for each in (job, same)],
                }
            )
            if not options.json:
                print(_line(rounds[-1]), flush=True)
    result = recorded(
        {
            "rounds": rounds,
        },
        options,
    )
    if options.json:
        print(json.dumps(result))


def _line(told: dict[str, Any]) -> str:
    alone, beside = told["answers_alone"], told["answers_beside_learning"]
    gaps = (
        f"median {each['gap_median_s'] * 1000:.0f}, 99th {each['gap_99th_s'] * 1000:.0f}, "
        f"longest {each['gap_longest_s'] * 1000:.0f} ms; {each['tokens_per_second']:.0f} tokens/s"
        for each in (alone, beside)
    )
    return (
        "from token to token: alone {}; beside learning {}".format(*gaps)
        + f". Learning took {told['learning_alone_s']:.1f} s alone and {told['learning_beside_answers_s']:.1f} s "
        f"beside answers ({told['learning_times_as_long']:.2f} times); {told['jobs'][1]['state']}"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="any model that selfedit can load; 'tiny' is random")
    parser.add_argument("--documents", type=Path, nargs="+", default=sorted(DEMO.glob("*.md"))[:2])
    parser.add_argument("--questions", type=Path, default=DEMO / "questions.jsonl", help="each names its document")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--answer-tokens", type=int, default=48, help="longest answer")
    parser.add_argument("--seconds", type=float, default=60.0, help="for which answers alone are measured")
    parser.add_argument("--share", type=float, default=0.5, help="--learning-share of the server")
    parser.add_argument("--pause", type=float, default=0.1, help="--learning-pause of the server")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write it to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
