"""Asking two models the same, side by side."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from selfedit.serve.api import close, collect
from selfedit.serve.errors import ApiError
from selfedit.serve.page.render import Renderer, is_part
from selfedit.serve.service import Sampling, Service
from selfedit.serve.versions import ACTIVE, Prompt, Served
from selfedit.store import BASE

LONGEST = 4_000
"""Characters of a question."""

_HOW = Sampling(max_tokens=64, temperature=0.0, top_p=1.0, seed=0, stop=("\n",), choices=1, report=None, streams=False)
"""As `selfedit ask` asks."""


@dataclass(frozen=True)
class Choice:
    """A model that may be asked, by the name that clients use and in words."""

    name: str
    words: str


@dataclass(frozen=True)
class Said:
    """What one model answered, or why it did not.

    Attributes:
        source: the title of the passage whose adapter answered; empty where there is none.
        by_base: whether the base answered, of itself or because the question is about nothing that was learnt.
    """

    name: str
    text: str = ""
    version: str = ""
    sha256: str = ""
    source: str = ""
    by_base: bool = False
    tokens: int = 0
    seconds: float = 0.0
    failure: str = ""


@dataclass(frozen=True)
class Exchange:
    """A question, and who is asked it, by name; with the answers, or None where each is fetched by itself."""

    question: str
    names: tuple[str, ...]
    earlier: tuple[str, ...] = ()
    said: tuple[Said, ...] | None = None


Name = Annotated[str, Form(max_length=200)]
Question = Annotated[str, Form(max_length=LONGEST)]
Earlier = Annotated[list[str], Form(default_factory=list, max_length=1_000)]


def make_router(service: Service, renderer: Renderer) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def page(request: Request, left: str = BASE, right: str = ACTIVE) -> Response:
        return whole(request, left, right, [])

    @router.post("/ask")
    async def ask(
        request: Request, earlier: Earlier, question: Question = "", left: Name = BASE, right: Name = ACTIVE
    ) -> Response:
        exchange = Exchange(_checked(question), tuple(dict.fromkeys((left, right))), tuple(earlier))
        if is_part(request.headers):
            return renderer.part(request, "exchange.html", exchange=exchange)
        answers = (_answer(service, request, name, question, exchange.earlier) for name in exchange.names)
        exchange = replace(exchange, said=tuple(await asyncio.gather(*answers)))
        return await service.aside(lambda: whole(request, left, right, [exchange]))

    @router.post("/answer")
    async def answer(request: Request, earlier: Earlier, question: Question = "", name: Name = ACTIVE) -> Response:
        said = await _answer(service, request, name, _checked(question), tuple(earlier))
        return renderer.part(request, "answer.html", said=said, question=question)

    def whole(request: Request, left: str, right: str, exchanges: list[Exchange]) -> Response:
        return renderer.page(
            request,
            "chat.html",
            choices=_choices(service),
            left=left,
            right=right,
            exchanges=exchanges,
            longest=LONGEST,
        )

    return router


def _checked(question: str) -> str:
    if not question.strip():
        raise ApiError(400, "Write a question first.")
    return question


def _choices(service: Service) -> list[Choice]:
    store = service.session.store
    active = store.active
    choices = [Choice(ACTIVE, f"The active version ({active or 'none: the base'})"), Choice(BASE, "The base model")]
    for id in (*reversed(store.ids("p")), *reversed(store.ids())):
        choices.append(Choice(f"{ACTIVE}:{id}", f"{id}, waits for approval" if id.startswith("p") else id))
    return choices


async def _answer(service: Service, request: Request, name: str, question: str, earlier: tuple[str, ...]) -> Said:
    """One model's answer; what keeps it from answering is no reason why the other one should not."""

    def prompts(served: Served) -> list[list[Prompt]]:
        return [service.versions.question(served, question, earlier)]

    started = time.monotonic()
    try:
        ask = await service.ask(name, _HOW, prompts)
        try:
            (ended,) = await collect(ask)
        finally:
            close(service, request, ask)
    except ApiError as error:
        return Said(name, failure=error.message)
    source = ended.taken.source.task.title if ended.taken.source is not None else ""
    return Said(
        name,
        ended.completion.text.strip(),
        ask.served.version,
        ask.served.sha256,
        source,
        not ended.taken.adapters,
        len(ended.completion.tokens),
        time.monotonic() - started,
    )
