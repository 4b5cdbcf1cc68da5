"""OpenAI's routes: chats, texts and the list of models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from selfedit.serve.errors import ApiError
from selfedit.serve.job import Ended, Piece
from selfedit.serve.service import Ask, Sampling, Service
from selfedit.serve.shapes import ChatShape, Shape, TextShape
from selfedit.serve.versions import Prompt, Served
from selfedit.serve.wire import (
    ChatAnswer,
    ChatRequest,
    ErrorAnswer,
    ModelCard,
    ModelList,
    TextAnswer,
    TextRequest,
)

GONE = 499
"""What is logged where a client went before it was answered; nobody gets it."""

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer} for status in (400, 401, 404, 408, 409, 413, 429, 500, 504)
}


def make_router(service: Service) -> APIRouter:
    """The routes over a service."""
    router = APIRouter(prefix="/v1", responses=_ERRORS)

    @router.post("/chat/completions", response_model=ChatAnswer)
    async def chat(body: ChatRequest, http: Request) -> Response:
        """Answer the last turn of a conversation, which is the user's."""
        turns = [message.turn for message in body.messages]
        if turns[-1][0] != "user" or not turns[-1][1].strip():
            raise ApiError(400, "The last message has to be the user's, and to say something.", "messages")

        def prompts(served: Served) -> list[list[Prompt]]:
            return [service.versions.chat(served, turns, body.topic)]

        sampling = _sampling(body, body.max_completion_tokens or body.max_tokens)
        return await _answer(service, http, await service.ask(body.model, sampling, prompts), ChatShape, body)

    @router.post("/completions", response_model=TextAnswer)
    async def complete(body: TextRequest, http: Request) -> Response:
        """Go on with one text or several."""

        def prompts(served: Served) -> list[list[Prompt]]:
            return [service.versions.text(served, prompt) for prompt in body.prompts]

        sampling = _sampling(body, body.max_tokens)
        return await _answer(service, http, await service.ask(body.model, sampling, prompts), TextShape, body)

    @router.get("/models")
    async def models() -> ModelList:
        """All names that a request may give."""
        listed = await service.aside(service.versions.names)
        return ModelList(data=[ModelCard(id=each.name, created=each.created) for each in listed])

    @router.get("/models/{name}")
    async def model(name: str) -> ModelCard:
        """One of them."""
        await service.aside(lambda: service.versions.resolve(name))
        listed = await service.aside(service.versions.names)
        # One that waits for approval is found by its name, and not listed.
        created = next((each.created for each in listed if each.name == name), 0)
        return ModelCard(id=name, created=created)

    return router


def _sampling(body: ChatRequest | TextRequest, max_tokens: int | None) -> Sampling:
    return Sampling(
        max_tokens=max_tokens,
        temperature=body.temperature or 0.0,
        top_p=1.0 if body.top_p is None else body.top_p,
        seed=body.seed,
        stop=body.stops,
        choices=body.n or 1,
        report=body.report,
        streams=bool(body.stream),
    )


async def _answer(
    service: Service,
    http: Request,
    ask: Ask,
    shape_of: Callable[..., Shape],
    body: ChatRequest | TextRequest,
) -> Response:
    """Stream the answers or send them whole; either way they are stopped if the client goes."""
    try:
        shape = shape_of(ask, service.tokenizer, frozenset(service.session.base.stop_token_ids))
        if body.stream:
            usage = body.stream_options is not None and body.stream_options.include_usage
            return _Stream(service, http, ask, shape, usage)
        ended = await _unless_gone(http, collect(ask))
    except BaseException:
        close(service, http, ask)
        raise
    close(service, http, ask)
    if ended is None:
        return Response(status_code=GONE)
    return JSONResponse(shape.whole(ended).model_dump(), headers=shape.headers)


async def collect(ask: Ask) -> list[Ended]:
    """All answers, in the order of their choices, when the last has ended."""
    ended: dict[int, Ended] = {}
    async for choice, event in ask.events():
        if isinstance(event, Ended):
            ended[choice] = event
    return [ended[choice] for choice in sorted(ended)]


async def _unless_gone(http: Request, work: Any) -> Any:
    """The result of some work; None if the client went before."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(http.receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()


async def _gone(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def close(service: Service, http: Request, ask: Ask) -> None:
    """Stop what is under way, and keep the figures of it."""
    ask.close()
    metrics, first = service.metrics, ask.first_token
    metrics.answers.labels(ask.served.version).inc(len(ask.jobs))
    metrics.tokens.labels("prompt").inc(ask.prompt_tokens)
    metrics.tokens.labels("completion").inc(ask.completion_tokens)
    if first is not None:
        metrics.first_token.observe(first)
    http.state.told = {
        "version": ask.served.version,
        "hash": ask.served.sha256[:16],
        "prompt_tokens": ask.prompt_tokens,
        "completion_tokens": ask.completion_tokens,
        "first_token_s": None if first is None else round(first, 4),
    }


class _Stream(StreamingResponse):
    """Server-sent events; closes its answers however it ends, even where it never began."""

    def __init__(self, service: Service, http: Request, ask: Ask, shape: Shape, usage: bool) -> None:
        self._service, self._http, self._ask = service, http, ask
        headers = {**shape.headers, "cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(_stream(ask, shape, usage), media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.ensure_future(_gone(receive))
        leaving.add_done_callback(lambda _: self._ask.close())
        try:
            await super().__call__(scope, _never, send)
        finally:
            leaving.cancel()
            close(self._service, self._http, self._ask)


async def _never() -> Any:
    """In place of `receive`, which another task is waiting on."""
    await asyncio.Event().wait()


async def _stream(ask: Ask, shape: Shape, usage: bool) -> AsyncIterator[str]:
    ended: dict[int, Ended] = {}
    try:
        for choice in range(len(ask.jobs)):
            yield _event(shape.chunk(choice, first=True))
        async for choice, event in ask.events():
            if isinstance(event, Piece):
                yield _event(shape.chunk(choice, event.text, tokens=event.tokens, reported=event.reported))
            else:
                ended[choice] = event
                yield _event(shape.chunk(choice, finish=event.completion.finish))
        if usage:
            yield _event(shape.closing([ended[choice] for choice in sorted(ended)]))
        yield "data: [DONE]\n\n"
    except ApiError as error:  # Too late for a status.
        yield _event(error.body)


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"
