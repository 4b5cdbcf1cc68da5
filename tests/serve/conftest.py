"""A server over a tiny model with four versions, on a real socket."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from selfedit.models import load
from selfedit.serve.app import make_app
from selfedit.serve.keys import Keys
from selfedit.serve.server import bound_socket
from selfedit.serve.service import Service
from selfedit.serve.settings import Limits, ServeSettings
from selfedit.session import Asked, Session
from tests.engine import random_adapter
from tests.lineage import FACTS, Library
from tests.store.make import make_version
from tests.tiny import make_tiny_model

ANSWER_TOKENS = 12
QUESTIONS = [fact.question for fact in FACTS.values()]
VERSIONS = ("v1", "v2", "v3", "v4")


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        url: of its root.
        session: of its store. Its model is the server's, so that it must not be asked.
    """

    url: str
    session: Session
    service: Service

    @contextmanager
    def held(self) -> Iterator[None]:
        """No token is written for the time of the block."""
        go_on = threading.Event()
        self.service.scheduler.between(lambda _: go_on.wait(60))
        try:
            yield
        finally:
            go_on.set()


@contextmanager
def running(session: Session, keys: Keys | None = None, limits: Limits | None = None, **more: Any) -> Iterator[Running]:
    """A server for the time of the block, in a thread of its own."""
    settings = ServeSettings(port=0, limits=limits or Limits(), **more)
    service = Service(session, settings)
    with bound_socket(settings.host, 0) as listening:
        config = uvicorn.Config(
            make_app(service, keys), log_config=None, timeout_graceful_shutdown=2, timeout_keep_alive=75
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield Running(f"http://127.0.0.1:{listening.getsockname()[1]}", session, service)
        finally:
            server.should_exit = True
            thread.join()


@dataclass(frozen=True)
class Taught:
    """A store, and what `Session.ask` answers to each question under each version and the base."""

    folder: Path
    session: Session
    answers: dict[str, dict[str, str]]


def another(folder: Path) -> Session:
    """A session on the same store with a model of its own, in float32, so that neighbours change no word."""
    base = load(str(folder / "tiny"), device="cpu", dtype="float32")
    return Library(folder, folder / "tiny", base).session()


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    """Two versions that were learnt, with a router, and two of one adapter each that changes every answer."""
    folder: Path = tmp_path_factory.mktemp("served")
    make_tiny_model(folder / "tiny")
    session = another(folder)
    library, base = Library(folder, folder / "tiny", session.base), session.base
    for name in ("lamp", "bird"):
        library.learnt(session, name)
    for seed in (3, 4):
        made = replace(make_version(), base=base.ref, settings={})
        session.store.commit(made, random_adapter(base.model, "whole", 3, seed, size=0.3))
    session.use("v2")
    answers = {}
    for version in (*VERSIONS, "base"):
        asked = [Asked(question, version, version == "base") for question in QUESTIONS]
        replies = session.ask_all(asked, ANSWER_TOKENS)
        answers[version] = {question: reply.answer for question, reply in zip(QUESTIONS, replies, strict=True)}
    return Taught(folder, session, answers)


@pytest.fixture(scope="module")
def server(taught: Taught) -> Iterator[Running]:
    with running(taught.session) as one:
        yield one


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[Any]:
    """OpenAI's own."""
    import openai

    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=60) as one:
        yield one


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, for servers with stores of their own."""
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")
