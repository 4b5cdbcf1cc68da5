"""Requests made up from the server's own description of its routes, by schemathesis."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import hypothesis
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from selfedit.serve.guard import App, Receive, Scope, Send

CHECKS = (not_a_server_error, response_schema_conformance, content_type_conformance)


def fuzz(app: App, examples: int, seed: int, key: str | None = None) -> dict[str, Counter[int]]:
    """So many requests to each operation; how often each status came.

    In half of those that ask a model it is one that there is, and the answer is short, so that they get further than
    the first check.

    Raises:
        an error of schemathesis's: a server's error, or an answer that is not as the description says.
    """
    schema = schemathesis.openapi.from_asgi("/openapi.json", _running(app), headers=_headers(key))
    draw = random.Random(seed)
    counts: dict[str, Counter[int]] = {}
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        counts[operation.label] = Counter()
        _fuzz_one(operation, counts[operation.label], examples, seed, draw, key)
    return counts


def _fuzz_one(
    operation: Any, statuses: Counter[int], examples: int, seed: int, draw: random.Random, key: str | None
) -> None:
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(case=operation.as_strategy())
    def one(case: Any) -> None:
        if isinstance(case.body, dict) and "model" in case.body and draw.random() < 0.5:
            case.body |= {"model": draw.choice(("selfedit", "selfedit:v3", "base")), "max_tokens": 2}
        response = case.call(headers=_headers(key))
        statuses[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    one()


def _running(app: App) -> App:
    """An application that is neither started nor stopped with each client."""

    async def running(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for _ in range(2):
            told = (await receive())["type"]
            await send({"type": f"{told}.complete"})

    return running


def _headers(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}
