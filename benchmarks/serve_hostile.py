"""Does anything that is sent make the server fail, and does it say more than it should to whoever has no key?

    python -m benchmarks.serve_hostile --out benchmarks/results/serve_hostile-cpu.json

A server over a tiny model. Hostile names, headers and bodies over every route, as bytes on a socket, with a key and
without; schemathesis over its OpenAPI description; and how long a refusal takes, by what is wrong with the key. The
tests have a short version of each.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from benchmarks.machine import recorded
from benchmarks.served import make_store, random_adapter, started_server, tiny_model
from selfedit.models import load
from selfedit.models.load import BaseModel
from selfedit.serve.app import make_app
from selfedit.serve.guard import OPEN
from selfedit.serve.service import Service
from selfedit.serve.settings import ServeSettings
from selfedit.session import Session
from tests.serve.described import fuzz
from tests.serve.hostile import PAGES, hostile, routes, send

KEY = "0123456789abcdef0123456789abcdef"
WRONG = {
    "none": None,
    "empty": "",
    "another scheme": f"Basic {KEY}",
    "other from the first": f"Bearer x{KEY[1:]}",
    "other in the last": f"Bearer {KEY[:-1]}x",
    "short": "Bearer x",
    "long": f"Bearer {'x' * 4_000}",
}


def send_all(url: str, known: list[tuple[str, str]], count: int, key: str | None) -> dict[str, Any]:
    """How often each status came, 0 for none; what came with 401; and what a fault of the server's came of."""
    draw, parts = random.Random(len(known) + bool(key)), urlsplit(url)
    assert parts.hostname is not None and parts.port is not None
    statuses: Counter[int] = Counter()
    refusals: set[bytes] = set()
    faults = []
    for _ in range(count):
        request = hostile(draw, known)
        answer = send((parts.hostname, parts.port), *request, key, patience=2.0)
        statuses[answer.status] += 1
        if answer.status == 401 and answer.body:
            refusals.add(answer.body)
        if answer.status >= 500:
            faults.append(repr(request[0][:200]))
    return {
        "requests": count,
        "statuses": dict(sorted(statuses.items())),
        "faults": faults[:20],
        "different refusals": len(refusals),
    }


def refusal_times(url: str, rounds: int) -> dict[str, dict[str, float]]:
    """Median microseconds of a refusal by what is wrong with the key, on a path that there is and on another."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for path in ("/v1/models", "/nothing"):
            for name, authorization in WRONG.items():
                headers = {} if authorization is None else {"Authorization": authorization}
                started = time.perf_counter()
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                answer.read()
                times.setdefault((path, name), []).append(time.perf_counter() - started)
                assert answer.status == 401
    connection.close()
    return {
        path: {name: round(1e6 * statistics.median(times[path, name]), 1) for name in WRONG}
        for path in ("/v1/models", "/nothing")
    }


def describe(model: str, store: Path, base: BaseModel, examples: int) -> dict[str, Any]:
    """Schemathesis, in this process."""
    session = Session(model, store, "cpu")
    session.__dict__["base"] = base
    service = Service(session, ServeSettings(host="0.0.0.0", port=0))
    service.start()
    try:
        counts = fuzz(make_app(service, None), examples, seed=0)
    except Exception as error:  # What came before is still told.
        return {"fault": str(error)[:4_000]}
    finally:
        service.stop()
    return {name: dict(sorted(statuses.items())) for name, statuses in counts.items()}


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        model, store, keys = tiny_model(Path(folder) / "tiny"), Path(folder) / "store", Path(folder) / "keys"
        base = load(model, device="cpu")
        make_store(store, base, [random_adapter(base, 2, seed) for seed in range(3)])
        keys.write_text(f"approve {KEY}\n")
        keys.chmod(0o600)
        with started_server(store, model, "--key-file", str(keys)) as server:
            allowed = {"Authorization": f"Bearer {KEY}"}
            described = httpx.get(f"{server.url}/openapi.json", headers=allowed, timeout=60).json()
            known = [*routes(described), *PAGES]
            with_key = send_all(server.url, known, options.requests, KEY)
            guarded = [route for route in known if route[1] not in OPEN and "/static" not in route[1]]
            without = send_all(server.url, guarded, options.requests, None)
            times = refusal_times(server.url, options.rounds)
            healthy = httpx.get(f"{server.url}/healthz", timeout=60).json()["status"]
        made_up = describe(model, store, base, options.examples)
    result = recorded(
        {
            "with a key": with_key,
            "without": without,
            "refusals, microseconds": times,
            "schemathesis": made_up,
            "health afterwards": healthy,
        },
        options,
    )
    print(json.dumps(result, indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5_000, help="hostile ones, with a key and as many without")
    parser.add_argument("--examples", type=int, default=300, help="of schemathesis, for each operation")
    parser.add_argument("--rounds", type=int, default=300, help="refusals that are timed, of each kind")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
