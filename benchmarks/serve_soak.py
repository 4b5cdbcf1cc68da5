"""Does a server's memory stay flat under mixed load?

    python -m benchmarks.serve_soak --out benchmarks/results/serve_soak-tiny.json

Clients ask in every way, for minutes: whole and streamed, several choices, sampled, with log-probabilities, prompts of
all lengths, under versions that come and go from the slots; they leave in the middle of a stream, ask for what there is
not, and send what is no request, while the active version changes. Every few seconds the server's resident memory is
read. It is flat if a straight line through the second half rises by less than a hundredth of it in the time measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.machine import machine
from benchmarks.served import Server, make_store, random_adapter, started_server, tiny_model
from selfedit.models import load
from selfedit.runtime import software_versions
from selfedit.session import Session

WORDS = [
    "boat",
    "lamp",
    "river",
    "keeper",
    "bridge",
    "harbour",
    "winter",
    "letter",
    "garden",
    "engine",
    "cloud",
    "market",
    "stone",
    "road",
    "silver",
]


class Load:
    """Clients that ask in every way until the time is up; what became of it."""

    def __init__(self, versions: int, window: int, until: float) -> None:
        self.outcomes: Counter[str] = Counter()
        self._versions, self._window, self._until = versions, window, until

    async def client(self, http: httpx.AsyncClient, seed: int) -> None:
        draw = random.Random(seed)
        kinds = (self.whole, self.whole, self.streamed, self.streamed, self.leaves, self.wrong, self.looks)
        while time.monotonic() < self._until:
            kind = draw.choice(kinds)
            try:
                self.outcomes[f"{kind.__name__} {await kind(http, draw)}"] += 1
            except httpx.HTTPError as error:
                self.outcomes[f"failed: {type(error).__name__}"] += 1

    async def whole(self, http: httpx.AsyncClient, draw: random.Random) -> int:
        return (await http.post("/v1/chat/completions", json=self._body(draw))).status_code

    async def streamed(self, http: httpx.AsyncClient, draw: random.Random) -> int:
        body = self._body(draw) | {"stream": True}
        async with http.stream("POST", "/v1/chat/completions", json=body) as response:
            await response.aread()
            return response.status_code

    async def leaves(self, http: httpx.AsyncClient, draw: random.Random) -> int:
        """Go after a few pieces."""
        body = self._body(draw) | {"stream": True, "max_tokens": 100}
        async with http.stream("POST", "/v1/chat/completions", json=body) as response:
            pieces = draw.randrange(5)
            async for _ in response.aiter_lines():
                if (pieces := pieces - 1) < 0:
                    break
            return response.status_code

    async def wrong(self, http: httpx.AsyncClient, draw: random.Random) -> int:
        wrong: tuple[Any, ...] = (
            {"content": b"{"},
            {"json": self._body(draw) | {"model": f"selfedit:{draw.random()}"}},
            {"json": self._body(draw) | {draw.choice(WORDS): draw.random()}},
            {"json": self._body(draw) | {"temperature": -draw.random()}},
            {"json": self._body(draw) | {"messages": [{"role": "user", "content": "x " * self._window}]}},
        )
        return (await http.post("/v1/chat/completions", **draw.choice(wrong))).status_code

    async def looks(self, http: httpx.AsyncClient, draw: random.Random) -> int:
        paths = ("/metrics", "/healthz", "/v1/models", "/v1/models/selfedit:v2", f"/{draw.random()}")
        return (await http.get(draw.choice(paths))).status_code

    def _body(self, draw: random.Random) -> dict[str, Any]:
        longest = draw.choice((4, 20, 100, self._window // 4))
        text = " ".join(draw.choices(WORDS, k=draw.randint(1, longest)))
        body: dict[str, Any] = {
            "model": draw.choice(("selfedit", "base", f"selfedit:v{draw.randint(1, self._versions)}")),
            "messages": [{"role": "user", "content": text}],
            "max_tokens": draw.choice((1, 8, 8, 30)),
        }
        if draw.random() < 0.3:
            body |= {"temperature": 1.0, "top_p": 0.9, "n": draw.choice((1, 3))}
        if draw.random() < 0.2:
            body |= {"logprobs": True, "top_logprobs": 5}
        if draw.random() < 0.2:
            body |= {"stop": draw.sample(WORDS, 2)}
        return body


async def soak(server: Server, session: Session, options: Any) -> dict[str, Any]:
    """What became of it, and the memory over the time."""
    window = session.base.context_window
    began = time.monotonic()
    load = Load(options.versions, min(window, 4_000), began + 60 * options.minutes)
    memory: list[tuple[float, float]] = []

    async def watch() -> None:
        ids = [*session.store.ids(), None]
        while time.monotonic() < began + 60 * options.minutes:
            memory.append((time.monotonic() - began, server.memory / 2**20))
            await asyncio.to_thread(session.use, random.choice(ids))
            await asyncio.sleep(options.every)

    limits = httpx.Limits(max_connections=2 * options.clients)
    async with httpx.AsyncClient(base_url=server.url, timeout=600, limits=limits) as http:
        await asyncio.gather(watch(), *(load.client(http, seed) for seed in range(options.clients)))
    return {"outcomes": dict(sorted(load.outcomes.items())), **figures(memory)}


def figures(memory: list[tuple[float, float]]) -> dict[str, Any]:
    """Megabytes over the time, and how much a straight line through the second half rises."""
    half = [each for each in memory if each[0] >= memory[-1][0] / 2]
    seconds, sizes = (np.array(column) for column in zip(*half, strict=True))
    slope = float(np.polyfit(seconds, sizes, 1)[0])
    rise = slope * (memory[-1][0] - memory[0][0])
    return {
        "memory, MB": {
            "at first": round(memory[0][1], 1),
            "after a tenth": round(memory[len(memory) // 10][1], 1),
            "in the middle": round(memory[len(memory) // 2][1], 1),
            "at the end": round(memory[-1][1], 1),
            "largest": round(max(size for _, size in memory), 1),
        },
        "rise in the whole time by the second half, MB": round(rise, 2),
        "flat": rise < 0.01 * memory[-1][1],
        "samples": [(round(second, 1), round(size, 1)) for second, size in memory],
    }


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_model(Path(folder) / "tiny") if options.model == "tiny" else options.model
        base = load(model, device="cpu")
        make_store(
            Path(folder) / "store", base, [random_adapter(base, 2 + seed % 3, seed) for seed in range(options.versions)]
        )
        session = Session(model, Path(folder) / "store", "cpu")
        session.__dict__["base"] = base
        with started_server(Path(folder) / "store", model) as server:
            told = asyncio.run(soak(server, session, options))
            healthy = httpx.get(f"{server.url}/healthz", timeout=60).json()["status"]
    result = {
        "minutes": options.minutes,
        "health afterwards": healthy,
        **told,
        "options": {name: str(value) for name, value in vars(options).items()},
        "machine": machine(),
        "software": software_versions(),
    }
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result) + "\n", encoding="utf-8")
    print(json.dumps(result | {"samples": len(result["samples"])}, indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="any model that selfedit can load")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--versions", type=int, default=40, help="more than there are slots")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two looks at the memory")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
