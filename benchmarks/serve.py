"""How does the server bear load? Clients at once over several versions, against one request after another.

    python -m benchmarks.serve --out benchmarks/results/serve-cpu.json

`selfedit serve` runs in a process of its own over a store of `--versions` versions, each one adapter of rank `--rank`
on all linear layers (random weights: what a token costs does not depend on them). Clients ask general questions, each
the next as soon as the last is answered, greedily and streaming; client i asks version i modulo their number. In the
same round the rival is transformers' `generate` with the same adapters by PEFT, one request at a time, on the same
questions and versions. Where both were asked the same, it is counted how many texts are the same.
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
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import torch

from benchmarks.machine import machine
from selfedit.documents.general import general_tasks
from selfedit.models import DEFAULT_MODEL, load
from selfedit.models.load import BaseModel
from selfedit.multilora.model import layer_shapes, resolve_targets
from selfedit.runtime import software_versions
from selfedit.session import Session
from selfedit.store import Store
from selfedit.types import Adapter, DocumentRef, Knowledge, Learnt, LoraFactors, LoraSpec, Task, Version


@dataclass(frozen=True)
class Answered:
    """One answer by the server: its text and tokens, and seconds to the first piece and to the end."""

    text: str
    tokens: int
    first: float
    whole: float


def adapter(base: BaseModel, rank: int, seed: int) -> Adapter:
    shapes = layer_shapes(base.model, resolve_targets(base.model, "all-linear"))
    generator = torch.Generator().manual_seed(seed)
    factors = {
        name: LoraFactors(
            torch.randn(rank, inputs, generator=generator) * 0.02,
            torch.randn(outputs, rank, generator=generator) * 0.02,
        )
        for name, (inputs, outputs) in shapes.items()
    }
    return Adapter(f"load-{seed}", LoraSpec(rank, 2.0 * rank), factors)


def make_store(path: Path, base: BaseModel, adapters: list[Adapter]) -> None:
    store = Store.open(path, create=True)
    known = Learnt(DocumentRef("load.md", "Load", "0" * 64), Task("load", "Load", "Load."), ())
    for each in adapters:
        empty = Version(
            id="",
            created="2026-01-01T00:00:00+00:00",
            base=base.ref,
            documents=(),
            tasks=(),
            probe_source="file",
            probes_dropped=0,
            settings={},
            software=software_versions(),
            rollouts=(),
            before=(),
            after=(),
            losses=(),
            seconds=0.0,
            knowledge=Knowledge("joint", (known,)),
        )
        store.commit(empty, each)


async def ask(http: httpx.AsyncClient, version: str, question: str, tokens: int) -> Answered:
    body = {
        "model": f"selfedit:{version}",
        "messages": [{"role": "user", "content": question}],
        "max_tokens": tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    started, first, text, written = time.perf_counter(), 0.0, "", 0
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line.removeprefix("data: "))
            if "error" in chunk:
                raise RuntimeError(chunk["error"])
            piece = chunk["choices"][0]["delta"].get("content", "") if chunk["choices"] else ""
            if piece and not text:
                first = time.perf_counter() - started
            text += piece
            written = chunk.get("usage", {}).get("completion_tokens", written)
    return Answered(text, written, first, time.perf_counter() - started)


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
    firsts = sorted(each.first for _, _, each in answered.values() if each.text)
    return {
        "clients": clients,
        "answers": wanted,
        "seconds": seconds,
        "tokens": (tokens := sum(each.tokens for _, _, each in answered.values())),
        "tokens_per_second": tokens / seconds,
        "first_token_median_s": statistics.median(firsts),
        "first_token_95th_s": firsts[min(len(firsts) - 1, int(0.95 * len(firsts)))],
        "texts": {(version, question): each.text for version, question, each in answered.values()},
    }


class Rival:
    """One request at a time: `generate` under the request's adapter."""

    def __init__(self, base: BaseModel, adapters: list[Adapter]) -> None:
        from peft import LoraConfig, get_peft_model

        self._tokenizer, self._stop = base.tokenizer, list(base.stop_token_ids)
        first, lora = adapters[0], adapters[0].lora
        config = LoraConfig(r=lora.rank, lora_alpha=int(lora.alpha), target_modules=list(first.factors))
        peft_model: Any = get_peft_model(base.model, config, "v1")
        self._model = peft_model
        for number, each in enumerate(adapters, 1):
            if number > 1:
                self._model.add_adapter(f"v{number}", config)
            with torch.no_grad():
                for name, factors in each.factors.items():
                    layer: Any = self._model.base_model.model.get_submodule(name)
                    layer.lora_A[f"v{number}"].weight.copy_(factors.a_RI)
                    layer.lora_B[f"v{number}"].weight.copy_(factors.b_OR)
        self._model.eval()

    def answer(self, version: str, prompt: tuple[int, ...], tokens: int) -> tuple[str, int]:
        """The text, and how many tokens were written."""
        self._model.set_adapter(version)
        ids = torch.tensor([prompt])
        with torch.no_grad():
            out = self._model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                do_sample=False,
                eos_token_id=self._stop,
                pad_token_id=self._stop[0],
            )
        written = out[0, len(prompt) :].tolist()
        return str(self._tokenizer.decode(written, skip_special_tokens=True)), len(written)


def alone(rival: Rival, session: Session, versions: int, questions: list[str], options: Any) -> dict[str, Any]:
    asked = [(f"v{1 + i % versions}", questions[i % len(questions)]) for i in range(options.rival_requests)]
    started, texts, tokens = time.perf_counter(), {}, 0
    for version, question in asked:
        text, written = rival.answer(version, session.domain.ask(question), options.answer_tokens)
        texts[version, question] = text
        tokens += written
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "tokens": tokens, "tokens_per_second": tokens / seconds, "texts": texts}


def started_server(store: Path, model: str) -> tuple[subprocess.Popen[str], str, float]:
    """The server, its address, and the seconds until it was ready."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "selfedit", "serve", "--port", "0", "--store", str(store), "--model", model]
    process = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    said = ""
    while not said.endswith("}\n"):
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the server did not start")
        said += line
    return process, json.loads(said)["url"], time.perf_counter() - started


def main() -> None:
    options = arguments()
    base = load(options.model, device="cpu")
    questions = [probe.question for task in general_tasks() for probe in task.probes][: options.questions]
    adapters = [adapter(base, options.rank, seed) for seed in range(options.versions)]
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        make_store(store, base, adapters)
        session = Session(options.model, store, "cpu")
        session.__dict__["base"] = base
        rival = Rival(base, adapters)
        process, url, ready = started_server(store, options.model)
        try:
            asyncio.run(load_with(url, options.versions, options.versions, questions, options))  # Adapters are loaded.
            for index in range(options.rounds):
                one = alone(rival, session, options.versions, questions, options)
                loads = [
                    asyncio.run(load_with(url, clients, options.versions, questions, options))
                    for clients in options.clients
                ]
                rounds.append(told := _round(one, loads))
                if not options.json:
                    print(f"round {index + 1}: {_line(told)}", flush=True)
        finally:
            process.terminate()
            process.wait(30)
    result = {
        "ready_s": ready,
        "clients": _medians(rounds),
        "rounds": rounds,
        "options": {name: str(value) for name, value in vars(options).items()},
        "machine": machine(),
        "software": software_versions(),
    }
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(result))


def _round(one: dict[str, Any], loads: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of a round, each load against the rival, and how many answers to the same were compared."""
    expected = one.pop("texts")
    compared = same = 0
    for each in loads:
        for key, text in each.pop("texts").items():
            if key in expected:
                compared += 1
                same += text == expected[key]
        each["times_the_rival"] = each["tokens_per_second"] / one["tokens_per_second"]
    return {"rival": one, "loads": loads, "texts_compared": compared, "texts_same": same}


def _line(told: dict[str, Any]) -> str:
    loads = ", ".join(
        f"{each['clients']} clients {each['tokens_per_second']:.1f} tokens/s ({each['times_the_rival']:.1f} times; "
        f"first token {each['first_token_median_s']:.2f} s, 95th {each['first_token_95th_s']:.2f} s)"
        for each in told["loads"]
    )
    same = f"{told['texts_same']} of {told['texts_compared']} texts the same"
    return f"rival {told['rival']['tokens_per_second']:.1f} tokens/s; {loads}; {same}"


def _medians(rounds: list[dict[str, Any]]) -> list[dict[str, float]]:
    keys = ("tokens_per_second", "times_the_rival", "first_token_median_s", "first_token_95th_s")
    return [
        {"clients": loads[0]["clients"]} | {key: statistics.median(each[key] for each in loads) for key in keys}
        for loads in zip(*(each["loads"] for each in rounds), strict=True)
    ]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="any model that selfedit can load")
    parser.add_argument("--versions", type=int, default=8)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--clients", type=lambda text: [int(part) for part in text.split(",")], default=[1, 8, 32, 64])
    parser.add_argument("--requests", type=int, default=32, help="answers of each load, at least")
    parser.add_argument("--requests-per-client", type=int, default=2, help="answers for each client, at least")
    parser.add_argument("--rival-requests", type=int, default=16, help="answers of the rival in each round")
    parser.add_argument("--answer-tokens", type=int, default=48, help="longest answer")
    parser.add_argument("--questions", type=int, default=40, help="different questions")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="also write it to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
