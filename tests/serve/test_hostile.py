"""Whatever is sent, to any route: never a fault of the server's. `python -m benchmarks.serve_hostile` is longer."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from selfedit.serve.app import make_app
from selfedit.serve.guard import OPEN
from selfedit.serve.keys import Keys, Role
from selfedit.serve.settings import Learning, Limits
from tests.lineage import SETTINGS
from tests.serve.conftest import Running, Taught, another, running
from tests.serve.described import fuzz
from tests.serve.hostile import PAGES, Answered, hostile, routes, send

KEY = "approve-0123456789abcdef"


@pytest.fixture(scope="module")
def guarded(taught: Taught, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Over a store of its own, which they may change; what they have learnt takes no time."""
    folder = tmp_path_factory.mktemp("hostile") / "served"
    shutil.copytree(taught.folder, folder)
    limits = Limits(body_bytes=300_000, body_seconds=0.5, jobs=5)
    with running(another(folder), Keys([(Role.APPROVE, KEY)]), limits, learning=Learning(settings=SETTINGS)) as one:
        yield one


@pytest.fixture(scope="module")
def known(guarded: Running) -> list[tuple[str, str]]:
    described = httpx.get(f"{guarded.url}/openapi.json", headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
    return [*routes(described.json()), *PAGES]


def ask(
    guarded: Running, known: list[tuple[str, str]], count: int, seed: int, key: str | None
) -> list[tuple[bytes, Answered]]:
    draw = random.Random(seed)
    host, port = guarded.url.removeprefix("http://").split(":")
    requests = [hostile(draw, known) for _ in range(count)]
    return [(request[0], send((host, int(port)), *request, key)) for request in requests]


def test_500_hostile_requests(guarded: Running, known: list[tuple[str, str]]) -> None:
    answers = ask(guarded, known, 500, 0, KEY)
    assert not [(line, answer) for line, answer in answers if answer.status >= 500]
    statuses = Counter(answer.status for _, answer in answers)
    assert {200, 400, 404} <= set(statuses), "they get further than the first check"
    assert httpx.get(f"{guarded.url}/healthz", timeout=60).json()["status"] == "ok"


def test_without_a_key_all_of_them_get_the_same_answer(guarded: Running, known: list[tuple[str, str]]) -> None:
    """Or none: what is no HTTP reaches no application. Of a HEAD, no body comes."""
    answers = ask(
        guarded, [route for route in known if route[1] not in OPEN and "/static" not in route[1]], 150, 1, None
    )
    refused = [answer for _, answer in answers if answer.status == 401]
    unread = [(line, answer) for line, answer in answers if answer.status != 401]
    assert len(refused) > 100 and len({answer.body for answer in refused if answer.body}) == 1
    assert all(answer.status in (0, 400) and b"error" not in answer.body for _, answer in unread), unread


def test_requests_made_up_from_the_description(guarded: Running) -> None:
    guarded.service.settings.__dict__["host"] = "0.0.0.0"  # Schemathesis has a name of its own for this machine.
    counts = fuzz(make_app(guarded.service, None), examples=12, seed=0)
    assert counts and all(counts.values())
