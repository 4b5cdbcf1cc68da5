"""What a client can do wrong: its right status, one clear message in OpenAI's shape, and the server goes on."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx
import pytest

from selfedit.serve.keys import Keys, Role
from selfedit.serve.settings import Limits
from tests.serve.conftest import QUESTIONS, Running, Taught, running

KEYS = {Role.ASK: "ask-0123456789abcdef", Role.APPROVE: "approve-0123456789abcdef"}
LIMITS = Limits(rows=2, queue=2, body_bytes=200_000, body_seconds=0.5, seconds=30)
CHAT = "/v1/chat/completions"
USER = [{"role": "user", "content": QUESTIONS[0]}]
SLOW = {"model": "selfedit:v3", "messages": USER, "max_tokens": 8}


@pytest.fixture(scope="module")
def server(taught: Taught) -> Iterator[Running]:
    with running(taught.session, Keys(list(KEYS.items())), LIMITS) as one:
        yield one


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEYS[Role.ASK]}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
        yield client
        # Whatever was sent: it answers.
        assert client.post(CHAT, json={"model": "base", "messages": USER, "max_tokens": 1}).status_code == 200


@pytest.fixture
def anybody(server: Running) -> Iterator[httpx.Client]:
    """Somebody without a key."""
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"model": "selfedit:v9"}, 404, "Did you mean 'selfedit:v1'"),
        ({"model": "gpt-4o"}, 404, "There is no model 'gpt-4o'. Known: base, selfedit"),
        ({"model": "v3"}, 404, "There is no model 'v3'"),
        ({"model": "../../etc/passwd\x00"}, 404, "There is no model"),
        ({"temperature": -1}, 400, "temperature: Input should be greater than or equal to 0"),
        ({"top_p": 0}, 400, "top_p: "),
        ({"n": 100}, 400, "n: "),
        ({"max_tokens": 0}, 400, "max_tokens: "),
        ({"max_tokens": 10**30}, 400, "max_tokens: "),
        ({"max_tokens": 5000}, 400, "with 5000 for the answer it does not fit the model's window of 4096"),
        ({"stop": ["a"] * 5}, 400, "stop"),
        ({"stop": ""}, 400, "stop"),
        ({"seed": "x"}, 400, "seed: "),
        ({"messages": []}, 400, "messages: "),
        ({"messages": "hello"}, 400, "messages: "),
        ({"messages": USER * 10_000}, 413, "at most"),
        ({"messages": USER * 1_500}, 400, "messages: List should have at most 1000 items"),
        ({"messages": [{"role": "user", "content": "many words " * 5000}]}, 400, "does not fit the model's window"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, 400, "The last message has to be the user's"),
        ({"messages": [{"role": "user", "content": "  "}]}, 400, "to say something"),
        ({"messages": [{"role": "tool", "content": "a"}]}, 400, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, 400, "messages.0"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, 400, "messages.0.content"),
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"presence_penalty": 1}, 400, "presence_penalty: "),
        ({"colour": "red"}, 400, "colour: Extra inputs are not permitted"),
        ({"top_logprobs": 50}, 400, "top_logprobs: "),
    ],
)
def test_a_wrong_field_is_named(http: httpx.Client, change: dict[str, Any], status: int, message: str) -> None:
    body = json.dumps({"model": "selfedit:v3", "messages": USER, "max_tokens": 2} | change)
    answer = http.post(CHAT, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert message in error["message"] and error["type"] == "invalid_request_error"
    assert len(error["message"]) < 400


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 50_000, "application/json", 400),
        (b'{"model": NaN}', "application/json", 400),
        (b'"text"', "application/json", 400),
        (b"", "application/json", 400),
        (b"a=b", "application/x-www-form-urlencoded", 400),
    ],
)
def test_a_body_that_is_no_request(http: httpx.Client, content: bytes, kind: str, status: int) -> None:
    for path in (CHAT, "/v1/completions"):
        answer = http.post(path, content=content, headers={"Content-Type": kind})
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["message"]


@pytest.mark.parametrize("prompt", [[], [[]], [10**6], [2**32], [[1], [2**60]], "", [-1], ["a", 1], None])
def test_a_prompt_that_is_none(http: httpx.Client, prompt: Any) -> None:
    answer = http.post("/v1/completions", json={"model": "selfedit:v3", "prompt": prompt, "max_tokens": 2})
    # An empty text is a prompt where the tokenizer begins each with a token of its own.
    assert answer.status_code == 400 or prompt == "", answer.text


def test_other_paths_and_methods(http: httpx.Client) -> None:
    assert http.get("/nothing/../here").status_code == 404
    assert http.get(CHAT).status_code == 405
    assert http.get("/v1/models/x%00y").status_code == 404
    assert http.get("/v1/models/../../etc").status_code == 404


def test_keys(anybody: httpx.Client) -> None:
    def ask(authorization: str | bytes | None, path: str = CHAT) -> httpx.Response:
        headers: Any = {} if authorization is None else {"Authorization": authorization}
        return anybody.request("GET" if path != CHAT else "POST", path, headers=headers)

    wrong = [None, "", "Bearer", "Bearer wrong", f"Basic {KEYS[Role.ASK]}", f"Bearer {KEYS[Role.ASK]}x", b"Bearer \xe9"]
    for path in (CHAT, "/v1/models", "/metrics", "/openapi.json", "/", "/nothing"):
        answers = [ask(authorization, path) for authorization in wrong]
        assert {answer.status_code for answer in answers} == {401}
        assert len({answer.text for answer in answers}) == 1, "nothing tells one wrong key from another"
    assert ask(None, "/healthz").status_code == 200
    for key in KEYS.values():
        assert ask(f"Bearer {key}", "/v1/models").status_code == 200


def test_another_host_is_refused(http: httpx.Client) -> None:
    assert http.get("/v1/models", headers={"Host": "evil.example"}).status_code == 421
    assert http.get("/v1/models", headers={"Host": "localhost:8000"}).status_code == 200
    assert http.get("/v1/models", headers={"Host": "[::1]:8000"}).status_code == 200


def test_nothing_is_said_to_pages_of_other_sites(http: httpx.Client) -> None:
    answer = http.options(CHAT, headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"})
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_full_queue_says_when_to_come_again(server: Running, http: httpx.Client) -> None:
    with ThreadPoolExecutor(6) as pool:
        with server.held():
            asked = [pool.submit(http.post, CHAT, json=SLOW) for _ in range(6)]
            refusals = as_completed(asked)
            assert [next(refusals).result().status_code for _ in range(2)] == [429, 429]
        answers = [each.result() for each in asked]
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * 4 + [429] * 2
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert http.post(CHAT, json=SLOW | {"n": 5}).status_code == 429


def test_a_body_that_never_ends(server: Running) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEYS[Role.ASK]}\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as slow:
        slow.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert b" 408 " in slow.recv(200)
    with socket.create_connection((host, int(port)), timeout=20) as long:
        long.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        with suppress(OSError):
            for _ in range(20):
                long.sendall(chunk)
                time.sleep(0.001)
        with suppress(ConnectionError):  # Closed on us, which is an answer, too.
            assert b" 413 " in long.recv(200)


def test_an_answer_has_a_time(server: Running, http: httpx.Client) -> None:
    server.service.settings.__dict__["limits"] = replace(LIMITS, seconds=0.2)
    try:
        with server.held():
            answer = http.post(CHAT, json=SLOW)
            assert answer.status_code == 504 and answer.json()["error"]["type"] == "server_error"
            streamed = http.post(CHAT, json=SLOW | {"stream": True})
            assert streamed.status_code == 200 and '"code": "timeout"' in streamed.text
    finally:
        server.service.settings.__dict__["limits"] = LIMITS
