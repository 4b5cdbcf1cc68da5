"""How does the server bear load? Clients at once over several versions, against one request after another.

    python -m benchmarks.serve --out benchmarks/results/serve-cpu.json

`selfedit serve` runs in a process of its own over a store of `--versions` versions, each one adapter of rank `--rank`
on all linear layers (random weights: what a token costs does not depend on them). Clients ask general questions, each
the next as soon as the last is answered, greedily and streaming; client i asks version i modulo their number.

In each round rivals answer the same questions one at a time: `transformers serve`, in a process of its own, over the
full weights of the first version, which spares it the adapters (`--no-serve` leaves it out); and transformers'
`generate` with the versions' adapters by PEFT. All take turns within a round; ratios are of one round, and the median
of the rounds is told. Where a rival and the server were asked the same of the same version, it is counted how many
texts are the same: greedy answers differ where two tokens are as likely within rounding.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import recorded
from benchmarks.serve_rivals import PeftLoop, TransformersServe
from benchmarks.served import ask, make_store, percentile, random_adapter, started_server, tiny_model
from selfedit.documents.general import general_tasks
from selfedit.models import DEFAULT_MODEL, load
from selfedit.session import Session

Rival = PeftLoop | TransformersServe


async def load_with(url: str, clients: int, versions: int, questions: list[str], options: Any) -> dict[str, Any]:
    """The figures of so many clients at once, and what was answered to each (version, question)."""
    numbers, answered = count(), {}
    wanted = max(options.requests, options.requests_per_client * clients)
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=limits) as http:

        async def client(i: int) -> None:
            while (number := next(numbers)) < wanted:
                version, question = f"v{1 + i % versions}", questions[number % len(questions)]
                answered[number] = (version, question, await ask(http, version, question, options.answer_tokens))

        started = time.perf_counter()
        await asyncio.gather(*map(client, range(clients)))
        seconds = time.perf_counter() - started
    firsts = [each.first for _, _, each in answered.values() if each.text]
    return {
        "clients": clients,
        "answers": wanted,
        "seconds": seconds,
        "tokens": (tokens := sum(each.tokens for _, _, each in answered.values())),
        "tokens_per_second": tokens / seconds,
        "first_token_median_s": statistics.median(firsts),
        "first_token_95th_s": percentile(firsts, 0.95),
        "texts": {(version, question): each.text for version, question, each in answered.values()},
    }


def alone(rival: Rival, session: Session, versions: int, questions: list[str], options: Any) -> dict[str, Any]:
    """A rival's figures, and what it answered to each (version, question)."""
    if isinstance(rival, TransformersServe):
        versions = 1
    asked = [(f"v{1 + i % versions}", questions[i % len(questions)]) for i in range(options.rival_requests)]
    started, texts, tokens = time.perf_counter(), {}, 0
    for version, question in asked:
        text, written = rival.answer(version, session.domain.ask(question), options.answer_tokens)
        texts[version, question] = text
        tokens += written
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "tokens": tokens, "tokens_per_second": tokens / seconds, "texts": texts}


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options)


def measure(folder: Path, options: Any) -> None:
    """All rounds; the result is printed and written."""
    model = tiny_model(folder / "tiny") if options.model == "tiny" else options.model
    base = load(model, device="cpu")
    questions = [probe.question for task in general_tasks() for probe in task.probes][: options.questions]
    adapters = [random_adapter(base, options.rank, seed) for seed in range(options.versions)]
    rounds: list[dict[str, Any]] = []
    store = folder / "store"
    make_store(store, base, adapters)
    session = Session(model, store, "cpu")
    session.__dict__["base"] = base
    rivals: list[Rival] = []
    if options.serve:
        weights = session.export("v1", folder / "weights", merged=True)
        rivals.append(TransformersServe(weights, base))
    rivals.append(PeftLoop(base, adapters))
    try:
        with started_server(store, model) as server:
            ready = server.ready
            # Adapters are loaded, and whatever is made when it is first needed.
            asyncio.run(load_with(server.url, options.versions, options.versions, questions, options))
            for rival in rivals:
                rival.answer("v1", session.domain.ask(questions[0]), 4)
            for index in range(options.rounds):
                told = one_round(server.url, rivals, session, questions, options)
                rounds.append(told)
                if not options.json:
                    print(f"round {index + 1}: {_line(told)}", flush=True)
    finally:
        for rival in rivals:
            rival.close()
    result = recorded(
        {
            "ready_s": ready,
            "clients": medians(rounds),
            "rounds": rounds,
        },
        options,
    )
    if options.json:
        print(json.dumps(result))


def one_round(
    url: str, rivals: Sequence[Rival], session: Session, questions: list[str], options: Any
) -> dict[str, Any]:
    """The figures of a round: of each load, each rival, their ratios, and how many answers to the same are alike."""
    turns: list[int | Rival] = [*options.clients]
    for place, rival in enumerate(rivals, 1):  # Between the loads, not all at one end.
        turns.insert(place * len(options.clients) // (len(rivals) + 1) + place - 1, rival)
    loads, alones = [], {}
    for turn in turns:
        if isinstance(turn, int):
            loads.append(asyncio.run(load_with(url, turn, options.versions, questions, options)))
        else:
            alones[turn.name] = alone(turn, session, options.versions, questions, options)
    compared = same = 0
    texts = [each.pop("texts") for each in loads]
    for one in alones.values():
        expected = one.pop("texts")
        for answered in texts:
            common = expected.keys() & answered.keys()
            compared += len(common)
            same += sum(answered[key] == expected[key] for key in common)
    for each in loads:
        each["times"] = {name: each["tokens_per_second"] / one["tokens_per_second"] for name, one in alones.items()}
    return {"rivals": alones, "loads": loads, "texts_compared": compared, "texts_same": same}


def _line(told: dict[str, Any]) -> str:
    loads = ", ".join(
        f"{each['clients']} clients {each['tokens_per_second']:.1f} tokens/s ("
        + ", ".join(f"{ratio:.1f} times {name}" for name, ratio in each["times"].items())
        + f"; first token {each['first_token_median_s']:.2f} s, 95th {each['first_token_95th_s']:.2f} s)"
        for each in told["loads"]
    )
    rivals = ", ".join(f"{name} {one['tokens_per_second']:.1f} tokens/s" for name, one in told["rivals"].items())
    return f"{rivals}; {loads}; {told['texts_same']} of {told['texts_compared']} texts the same"


def medians(rounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each load, the median of its figures over the rounds, and of its ratios."""
    keys = ("tokens_per_second", "first_token_median_s", "first_token_95th_s")
    told = []
    for loads in zip(*(each["loads"] for each in rounds), strict=True):
        row: dict[str, Any] = {"clients": loads[0]["clients"]}
        row |= {key: statistics.median(each[key] for each in loads) for key in keys}
        row["times"] = {name: statistics.median(each["times"][name] for each in loads) for name in loads[0]["times"]}
        told.append(row)
    return told


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="any model that selfedit can load, or 'tiny'")
    parser.add_argument("--versions", type=int, default=8)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--clients", type=lambda text: [int(part) for part in text.split(",")], default=[1, 8, 32, 64])
    parser.add_argument("--requests", type=int, default=32, help="answers of each load, at least")
    parser.add_argument("--requests-per-client", type=int, default=2, help="answers for each client, at least")
    parser.add_argument("--rival-requests", type=int, default=16, help="answers of the rival in each round")
    parser.add_argument("--answer-tokens", type=int, default=48, help="longest answer")
    parser.add_argument("--questions", type=int, default=40, help="different questions")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-serve", dest="serve", action="store_false", help="leave transformers' server out")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write it to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
