"""Does every answer come from one version, and is none lost, while the active version keeps changing?

    python -m benchmarks.serve_swap --out benchmarks/results/serve_swap-cpu.json

64 clients ask `selfedit`, whatever is active, greedily, half of them streaming, while this process makes another
version the active one 200 times, each time after a few more answers. Afterwards every version that was named is asked
the same questions alone: each answer has to be what its version gives. Where one differs, the smallest gap between the
two likeliest tokens of the answer alone is told: below 1e-3 rounding may decide between them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import recorded
from benchmarks.served import ask, make_store, random_adapter, started_server, tiny_model
from selfedit.documents.general import general_tasks
from selfedit.models import DEFAULT_MODEL, load
from selfedit.session import Session

Answer = tuple[str, str, str]
"""The version that an answer names, its question and its text."""


async def whole(http: httpx.AsyncClient, model: str, question: str, tokens: int, **more: Any) -> dict[str, Any]:
    """An answer in one piece."""
    messages = [{"role": "user", "content": question}]
    body = {"model": model, "messages": messages, "max_tokens": tokens, **more}
    answer = await http.post("/v1/chat/completions", json=body)
    answer.raise_for_status()
    said: dict[str, Any] = answer.json()
    return said


async def streamed(http: httpx.AsyncClient, question: str, tokens: int) -> Answer:
    """An answer in pieces, all of which have to name the same version."""
    body = {
        "model": "selfedit",
        "messages": [{"role": "user", "content": question}],
        "max_tokens": tokens,
        "stream": True,
    }
    versions, text = set(), ""
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                chunk = json.loads(line.removeprefix("data: "))
                versions.add(chunk["selfedit"]["version"])
                text += chunk["choices"][0]["delta"].get("content", "")
    (version,) = versions
    return version, question, text


async def swap(url: str, session: Session, questions: list[str], options: Any) -> tuple[list[Answer], list[str]]:
    """All answers that came while the active version changed, and what failed."""
    answers: list[Answer] = []
    failed: list[str] = []
    over = asyncio.Event()

    async def client(number: int, http: httpx.AsyncClient) -> None:
        draw = random.Random(number)
        while not over.is_set():
            question = draw.choice(questions)
            try:
                if number % 2:
                    answers.append(await streamed(http, question, options.answer_tokens))
                else:
                    said = await whole(http, "selfedit", question, options.answer_tokens)
                    text = said["choices"][0]["message"]["content"]
                    answers.append((said["selfedit"]["version"], question, text))
            except (httpx.HTTPError, KeyError, ValueError) as error:
                failed.append(repr(error)[:200])

    async def change() -> None:
        draw, ids = random.Random(0), [*session.store.ids(), "base"]
        for _ in range(options.changes):
            done = len(answers) + len(failed)
            ids.append(ids.pop(draw.randrange(len(ids) - 1)))  # Another one than now.
            await asyncio.to_thread(session.use, None if ids[-1] == "base" else ids[-1])
            while len(answers) + len(failed) < done + options.answers_per_change:
                await asyncio.sleep(0.005)
        over.set()

    limits = httpx.Limits(max_connections=options.clients)
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=limits) as http:
        await asyncio.gather(change(), *(client(number, http) for number in range(options.clients)))
    return answers, failed


async def compare(url: str, answers: list[Answer], options: Any) -> dict[str, Any]:
    """How many answers are what their version gives alone."""
    alone: dict[tuple[str, str], tuple[str, float]] = {}
    different: list[dict[str, Any]] = []
    async with httpx.AsyncClient(base_url=url, timeout=600) as http:
        for version, question, text in answers:
            if (version, question) not in alone:
                name = "base" if version == "base" else f"selfedit:{version}"
                said = await whole(http, name, question, options.answer_tokens, logprobs=True, top_logprobs=2)
                (choice,) = said["choices"]
                tops = [[each["logprob"] for each in token["top_logprobs"]] for token in choice["logprobs"]["content"]]
                gaps = [first - second for top in tops for first, second in pairwise(top)]
                alone[version, question] = (choice["message"]["content"], min(gaps, default=0.0))
            expected, gap = alone[version, question]
            if text != expected:
                different.append({"version": version, "question": question, "smallest gap": gap})
    return {
        "versions": len({version for version, _, _ in answers}),
        "questions asked of them alone": len(alone),
        "different texts among these": len({text for text, _ in alone.values()}),
        "mixed": len(different),
        "of these with a gap below 1e-3": sum(each["smallest gap"] < 1e-3 for each in different),
        "different": different[:20],
    }


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_model(Path(folder) / "tiny") if options.model == "tiny" else options.model
        base = load(model, device="cpu")
        adapters = [random_adapter(base, options.rank, seed, options.size) for seed in range(options.versions)]
        make_store(Path(folder) / "store", base, adapters)
        session = Session(model, Path(folder) / "store", "cpu")
        questions = [probe.question for task in general_tasks() for probe in task.probes][: options.questions]
        with started_server(Path(folder) / "store", model) as server:
            asyncio.run(ask_each(server.url, options.versions, questions[0]))
            started = time.perf_counter()
            answers, failed = asyncio.run(swap(server.url, session, questions, options))
            seconds = time.perf_counter() - started
            compared = asyncio.run(compare(server.url, answers, options))
    result = recorded(
        {
            "changes": options.changes,
            "answers": len(answers),
            "failed": len(failed),
            "failures": failed[:20],
            "seconds": round(seconds, 1),
            **compared,
        },
        options,
    )
    print(json.dumps(result, indent=1))


async def ask_each(url: str, versions: int, question: str) -> None:
    """Have each version's adapter read once."""
    async with httpx.AsyncClient(base_url=url, timeout=600) as http:
        await asyncio.gather(*(ask(http, f"v{number}", question, 1) for number in range(1, versions + 1)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="any model that selfedit can load, or 'tiny'")
    parser.add_argument("--versions", type=int, default=8)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--size", type=float, default=0.02, help="standard deviation of the adapters' factors")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--answers-per-change", type=int, default=3)
    parser.add_argument("--answer-tokens", type=int, default=16)
    parser.add_argument("--questions", type=int, default=12)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
