"""A server in a process of its own over a store of versions made for the purpose, and a client of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import torch

from selfedit.models.load import BaseModel
from selfedit.multilora.model import layer_shapes, resolve_targets
from selfedit.runtime import software_versions
from selfedit.store import Store
from selfedit.types import Adapter, DocumentRef, Knowledge, Learnt, LoraFactors, LoraSpec, Task, Version


@dataclass(frozen=True)
class Answered:
    """One answer by the server: its text and tokens, and seconds to the first piece and to the end."""

    text: str
    tokens: int
    first: float
    whole: float


def random_adapter(base: BaseModel, rank: int, seed: int, size: float = 0.02) -> Adapter:
    shapes = layer_shapes(base.model, resolve_targets(base.model, "all-linear"))
    generator = torch.Generator().manual_seed(seed)
    factors = {
        name: LoraFactors(
            torch.randn(rank, inputs, generator=generator) * size,
            torch.randn(outputs, rank, generator=generator) * size,
        )
        for name, (inputs, outputs) in shapes.items()
    }
    return Adapter(f"load-{seed}", LoraSpec(rank, 2.0 * rank), factors)


def tiny_model(folder: Path) -> str:
    """A random model so small that a server over it answers at once."""
    from tests.tiny import make_tiny_model

    return str(make_tiny_model(folder))


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


@dataclass(frozen=True)
class Server:
    """A running server: its process, its address, and the seconds until it was ready."""

    process: subprocess.Popen[str]
    url: str
    ready: float

    @property
    def memory(self) -> int:
        """Bytes of resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def started_server(store: Path, model: str, *more: str) -> Iterator[Server]:
    """`selfedit serve` for the time of the block."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "selfedit", "serve", "--port", "0", "--store", str(store), "--model", model]
    process = subprocess.Popen(
        [*command, "--json", *more], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        said = ""
        while not said.endswith("}\n"):
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("the server did not start")
            said += line
        yield Server(process, json.loads(said)["url"], time.perf_counter() - started)
    finally:
        process.terminate()
        process.wait(30)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
