"""OpenAI's own client, over a real socket, against a server over a tiny model."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import httpx
import openai
import pytest

from selfedit.routing.fitted import FittedRouter
from selfedit.session import Asked
from tests.serve.conftest import ANSWER_TOKENS, QUESTIONS, VERSIONS, Running, Taught, another, running

GREEDY: dict[str, Any] = {"max_tokens": ANSWER_TOKENS, "stop": "\n"}


def said(question: str) -> list[Any]:
    return [{"role": "user", "content": question}]


def settled(server: Running) -> None:
    """Wait until nothing is under way, which must come soon."""
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for _ in range(200):
            health = http.get("/healthz").json()
            if health["rows_live"] == health["rows_waiting"] == 0:
                return
            time.sleep(0.02)
    raise AssertionError(health)


def test_greedy_answers_are_those_of_ask_whole_and_streamed(client: Any, taught: Taught) -> None:
    for version in (*VERSIONS, "base"):
        name = "base" if version == "base" else f"selfedit:{version}"
        for question in QUESTIONS[:2]:
            whole = client.chat.completions.with_raw_response.create(model=name, messages=said(question), **GREEDY)
            answer = whole.parse()
            assert answer.choices[0].message.content.strip() == taught.answers[version][question]
            assert (answer.model, answer.selfedit["version"]) == (name, version)
            assert whole.headers["x-selfedit-version"] == version
            assert whole.headers["x-selfedit-hash"] == answer.selfedit["hash"]
            options = {"include_usage": True}
            chunks = list(
                client.chat.completions.create(
                    model=name, messages=said(question), stream=True, stream_options=options, **GREEDY
                )
            )
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            assert text == answer.choices[0].message.content
            assert chunks[-2].choices[0].finish_reason == answer.choices[0].finish_reason
            assert chunks[-1].usage == answer.usage
            assert chunks[-1].selfedit == answer.selfedit
    hashes = {taught.session.show(version).adapter_sha256 for version in VERSIONS}
    assert len(hashes) == 4 and answer.selfedit["hash"] == taught.session.base.fingerprint


def test_the_source_is_named_and_history_and_topic_route(client: Any, taught: Taught) -> None:
    def sources(messages: list[Any], **extra: Any) -> Any:
        answer = client.chat.completions.create(model="selfedit:v2", messages=messages, extra_body=extra, **GREEDY)
        return answer.selfedit["sources"]

    assert sources(said(QUESTIONS[0])) == ["Marrowfen"]
    assert sources(said("Who wrote Hamlet?")) == [None]
    assert sources(said("Who is it?"), topic="Veskara") == ["Veskara"]
    turns = [*said("Tell me about Marrowfen."), {"role": "assistant", "content": "A place."}]
    assert sources([{"role": "system", "content": "Be brief."}, *turns, *said("Who oils its lamp?")]) == ["Marrowfen"]


def test_the_surest_of_two_candidates_answers(taught: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FittedRouter, "unsure", 1e9)
    session = another(taught.folder)
    asked = [*QUESTIONS[:2], "Who oils the bird of Veskara?", "What is the lamp of Marrowfen?"]
    replies = session.ask_all([Asked(question, "v2") for question in asked], ANSWER_TOKENS)
    with running(session, read_only=True) as server, openai.OpenAI(base_url=f"{server.url}/v1", api_key="-") as client:
        for question, reply in zip(asked, replies, strict=True):
            answer = client.chat.completions.create(model="selfedit:v2", messages=said(question), **GREEDY)
            assert answer.choices[0].message.content is not None
            assert answer.choices[0].message.content.strip() == reply.answer
            assert answer.selfedit["sources"] == [reply.source]
            stream = client.chat.completions.create(model="selfedit:v2", messages=said(question), stream=True, **GREEDY)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
            assert text == answer.choices[0].message.content
        settled(server)


def test_models_are_listed(client: Any) -> None:
    names = [model.id for model in client.models.list()]
    assert names == ["selfedit", *(f"selfedit:{version}" for version in VERSIONS), "base"]
    assert client.models.retrieve("selfedit:v3").id == "selfedit:v3"
    with pytest.raises(openai.NotFoundError, match="Did you mean 'selfedit:v1'"):
        client.models.retrieve("selfedit:v11")


def test_seed_n_and_log_probabilities(client: Any) -> None:
    def ask(seed: int, n: int = 1, **more: Any) -> Any:
        sampling = {"temperature": 1.0, "top_p": 0.9, "seed": seed, "n": n, "max_tokens": 8}
        return client.chat.completions.create(
            model="selfedit:v3", messages=said(QUESTIONS[0]), **(sampling | more)
        ).choices

    three = ask(5, 3, logprobs=True, top_logprobs=2)
    assert len({choice.message.content for choice in three}) == 3
    assert [ask(5 + i)[0].message.content for i in range(3)] == [choice.message.content for choice in three]
    tokens = three[0].logprobs.content
    assert "".join(token.token for token in tokens if token.bytes is not None) != ""
    for token in tokens:
        assert token.logprob <= token.top_logprobs[0].logprob <= 0
        assert len(token.top_logprobs) == 2
    streamed = client.chat.completions.create(
        model="selfedit:v3", messages=said(QUESTIONS[0]), stream=True, logprobs=True, max_tokens=8
    )
    told = [entry for chunk in streamed if chunk.choices[0].logprobs for entry in chunk.choices[0].logprobs.content]
    whole = client.chat.completions.create(
        model="selfedit:v3", messages=said(QUESTIONS[0]), logprobs=True, max_tokens=8
    )
    assert [entry.token for entry in told] == [entry.token for entry in whole.choices[0].logprobs.content]


def test_texts_are_completed_in_words_and_in_tokens(client: Any, taught: Taught) -> None:
    prompter = taught.session.prompter
    prompts = ["The lamp of", "The national bird"]
    both = client.completions.create(model="selfedit:v3", prompt=prompts, max_tokens=6, n=2, seed=1, logprobs=1)
    assert [choice.index for choice in both.choices] == [0, 1, 2, 3]
    assert both.choices[0].text == both.choices[1].text, "greedy"
    assert both.choices[0].text != both.choices[2].text
    tokens = [list(prompter.text(prompt)) for prompt in prompts]
    again = client.completions.create(model="selfedit:v3", prompt=tokens, max_tokens=6)
    assert [choice.text for choice in again.choices] == [choice.text for choice in both.choices[::2]]
    assert both.usage.prompt_tokens == sum(map(len, tokens))
    streamed = client.completions.create(model="selfedit:v3", prompt=prompts[0], max_tokens=6, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == both.choices[0].text


def test_64_clients_while_the_active_version_changes(server: Running, taught: Taught) -> None:
    """Each answer is whole, and what the version that it names gives alone."""
    rng = random.Random(0)
    changes = 40

    async def ask(client: openai.AsyncOpenAI, number: int) -> None:
        question = QUESTIONS[number % len(QUESTIONS)]
        for _ in range(2):
            if number % 2:
                answer: Any = await client.chat.completions.create(model="selfedit", messages=said(question), **GREEDY)
                version, text = answer.selfedit["version"], answer.choices[0].message.content
            else:
                pieces, version = [], ""
                stream: Any = await client.chat.completions.create(
                    model="selfedit", messages=said(question), stream=True, **GREEDY
                )
                async for chunk in stream:
                    assert version in ("", chunk.selfedit["version"])
                    version = chunk.selfedit["version"]
                    pieces.append(chunk.choices[0].delta.content or "")
                text = "".join(pieces)
            assert text.strip() == taught.answers[version][question], version
            seen.add(version)

    async def change() -> None:
        for _ in range(changes):
            await asyncio.to_thread(server.session.use, rng.choice([*VERSIONS, None]))
            await asyncio.sleep(0.01)

    async def all_at_once() -> None:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0, timeout=120) as client:
            await asyncio.gather(change(), *(ask(client, number) for number in range(64)))

    seen: set[str] = set()
    asyncio.run(all_at_once())
    server.session.use("v2")
    assert len(seen) > 1
    settled(server)


def test_whoever_goes_is_not_answered_further(server: Running) -> None:
    body = {"model": "selfedit:v3", "messages": said(QUESTIONS[0]), "max_tokens": 1500}
    with (
        httpx.Client() as http,
        http.stream("POST", f"{server.url}/v1/chat/completions", json=body | {"stream": True}) as stream,
    ):
        next(line for line in stream.iter_lines() if '"content": "' in line)
    settled(server)
    with server.held(), pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=httpx.Timeout(20, read=0.3))
    settled(server)


def test_metrics_count(server: Running) -> None:
    text = httpx.get(f"{server.url}/metrics").text
    assert 'selfedit_requests_total{route="/v1/chat/completions",status="200"}' in text
    assert "selfedit_rows_live 0.0" in text
    assert json.loads(httpx.get(f"{server.url}/openapi.json", timeout=60).text)["paths"]
