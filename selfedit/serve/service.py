"""From requests to answers: what a name means, what is asked, and the events of each answer as they come."""

from __future__ import annotations

import asyncio
import copy
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from transformers import PreTrainedTokenizerBase

from selfedit.errors import UserError
from selfedit.generate.base import Request
from selfedit.generate.continuous import ContinuousBatch
from selfedit.serve.control import Control
from selfedit.serve.errors import ApiError
from selfedit.serve.job import Candidate, Ended, Event, Failed, Job, Piece
from selfedit.serve.learning.jobs import Jobs
from selfedit.serve.learning.start import Learning
from selfedit.serve.metrics import Metrics
from selfedit.serve.scheduler import Scheduler
from selfedit.serve.settings import ServeSettings
from selfedit.serve.versions import Prompt, Served, Versions
from selfedit.session import Session

T = TypeVar("T")

_USUAL_SECONDS = 2.0
"""Of an answer, before any has ended."""


@dataclass(frozen=True)
class Sampling:
    """How answers are written; `report` as in `Request`."""

    max_tokens: int | None
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]
    choices: int
    report: int | None
    streams: bool


class Service:
    """A session whose model answers on a thread of its own. What takes long beside it runs on a second one.

    Only the event loop calls it.

    Attributes:
        versions: only to be used through `aside`.
        tokenizer: for reading tokens back.
        jobs: what is to be learnt, and what became of it.
        control: versions, approval and feedback; only to be used through `apart`.
    """

    def __init__(self, session: Session, settings: ServeSettings) -> None:
        self.session, self.settings, self._limits = session, settings, settings.limits
        base = session.base
        self.versions, self.tokenizer = Versions(session), base.tokenizer
        self.metrics = Metrics(lambda: self.scheduler.rows)
        learning = None if settings.read_only else Learning(session, settings, self.metrics)
        self._learning = learning  # Before the model is wrapped.
        stop_ids = frozenset(base.stop_token_ids)
        # A tokenizer of its own: one may not be used by two threads at once.
        own: PreTrainedTokenizerBase = copy.deepcopy(base.tokenizer)
        batch = ContinuousBatch(base.model, own, stop_ids, self._limits.rows, base=base.ref)
        self.scheduler = Scheduler(batch, None if learning is None else learning.shared)
        self.jobs = learning.jobs if learning is not None else Jobs(session.store_path, 0)
        if learning is None:
            self.jobs.read()
        self.control = Control(session.store_path, self.jobs, settings.read_only)
        embeddings: Any = base.model.get_input_embeddings()
        self._vocabulary = int(embeddings.weight.shape[0])
        self._aside = ThreadPoolExecutor(1, "selfedit-aside")
        self._apart = ThreadPoolExecutor(4, "selfedit-apart")
        self._under_way = 0
        self._seconds = _USUAL_SECONDS

    def start(self) -> None:
        """Begin to answer, and to learn what was left."""
        self.scheduler.start()
        if self._learning is not None:
            self._learning.start()

    def stop(self) -> None:
        """End, whatever is under way."""
        if self._learning is not None:
            self._learning.stop()
        self.scheduler.stop()
        self._aside.shutdown(cancel_futures=True)
        self._apart.shutdown(cancel_futures=True)

    async def aside(self, work: Callable[[], T]) -> T:
        """The result of a piece of work on the second thread, one after another."""
        return await asyncio.get_running_loop().run_in_executor(self._aside, work)

    async def apart(self, work: Callable[[], T]) -> T:
        """The result of a piece of work on the store, which may have to wait for others that write to it."""
        return await asyncio.get_running_loop().run_in_executor(self._apart, work)

    async def ask(self, model: str, sampling: Sampling, prompts: Callable[[Served], list[list[Prompt]]]) -> Ask:
        """Begin to answer.

        Args:
            prompts: of a version, what it is asked: for each prompt of the request, one of each who might answer.

        Raises:
            ApiError: it is not answered, and why.
        """
        arrived, admitted = time.monotonic(), sampling.choices
        self._admit(admitted)
        try:
            served, asked = await self.aside(partial(self._resolve, model, prompts))
            if not asked:
                raise ApiError(400, "There is no prompt.", "prompt")
            for candidates in asked:
                for prompt in candidates:
                    self._check_length(prompt, sampling.max_tokens)
            others = (len(asked) - 1) * sampling.choices
            self._admit(others)
            admitted += others
            return Ask(self, served, asked, sampling, arrived)
        except UserError as error:  # The version was made for another model, or is damaged.
            self._under_way -= admitted
            raise ApiError(409, str(error), "model") from error
        except BaseException:
            self._under_way -= admitted
            raise

    def ended(self, ask: Ask) -> None:
        """Nobody waits for these answers any more."""
        self._under_way -= len(ask.jobs)
        seconds = time.monotonic() - ask.arrived
        self._seconds += 0.1 * (seconds - self._seconds)

    def requests(self, prompts: Sequence[Prompt], sampling: Sampling, seed: int) -> list[Candidate]:
        """What each of those who might answer is asked."""
        return [
            Candidate(
                prompt.who,
                Request(
                    prompt.tokens,
                    prompt.who.model,
                    self._longest(prompt, sampling.max_tokens),
                    sampling.temperature,
                    sampling.top_p,
                    seed,
                    sampling.stop,
                    report=sampling.report,
                ),
            )
            for prompt in prompts
        ]

    def _resolve(
        self, model: str, prompts: Callable[[Served], list[list[Prompt]]]
    ) -> tuple[Served, list[list[Prompt]]]:
        served = self.versions.resolve(model)
        return served, prompts(served)

    def _admit(self, count: int) -> None:
        room = self._limits.rows + self._limits.queue
        if self._under_way + count > room:
            waits = self._seconds * self._under_way / self._limits.rows
            seconds = min(60, max(1, math.ceil(waits)))
            message = f"{self._under_way} answers are under way or wait, and there is room for {room}. Try again later."
            raise ApiError(429, message, code="queue_full", headers={"Retry-After": str(seconds)})
        self._under_way += count

    def _check_length(self, prompt: Prompt, max_tokens: int | None) -> None:
        window, length = self.session.base.context_window, len(prompt.tokens)
        if not length:
            raise ApiError(400, "The prompt is empty.", "prompt")
        if max(prompt.tokens) >= (vocabulary := self._vocabulary):
            raise ApiError(400, f"The model has tokens 0 to {vocabulary - 1}.", "prompt")
        if length + (max_tokens or 1) > window:
            asked = f"; with {max_tokens} for the answer" if max_tokens else ", so that"
            raise ApiError(
                400,
                f"The prompt has {length} tokens{asked} it does not fit the model's window of {window}.",
                "messages",
                "context_length_exceeded",
            )

    def _longest(self, prompt: Prompt, max_tokens: int | None) -> int:
        return max_tokens or min(self._limits.max_tokens, self.session.base.context_window - len(prompt.tokens))


class Ask:
    """The answers to one request: for each of its prompts n choices, each a job.

    Whoever makes one calls `close`, whatever happens.
    """

    def __init__(
        self, service: Service, served: Served, asked: list[list[Prompt]], sampling: Sampling, arrived: float
    ) -> None:
        self._service, self.served, self.sampling, self.arrived = service, served, sampling, arrived
        self.prompt_tokens = sum(len(prompts[0].tokens) for prompts in asked)
        self.completion_tokens = 0
        self._queue: asyncio.Queue[tuple[int, Event] | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        seed = secrets.randbits(62) if sampling.seed is None else sampling.seed
        self.jobs = [
            self._job(service.requests(prompts, sampling, (seed + choice) % 2**63), i * sampling.choices + choice)
            for i, prompts in enumerate(asked)
            for choice in range(sampling.choices)
        ]
        self._open = True
        for job in self.jobs:
            service.scheduler.submit(job)

    @property
    def first_token(self) -> float | None:
        """Seconds from the request to the first token of any answer."""
        times = [job.first_token for job in self.jobs if job.first_token is not None]
        return min(times) - self.arrived if times else None

    async def events(self) -> AsyncIterator[tuple[int, Piece | Ended]]:
        """What happens, each with the choice that it is about, until all answers have ended or `close` is called.

        Raises:
            ApiError: the time is up, or the model's thread failed.
        """
        limit = self._service.settings.limits.seconds
        left = len(self.jobs)
        while left:
            try:
                remaining = self.arrived + limit - time.monotonic()
                happened = await asyncio.wait_for(self._queue.get(), max(0.0, remaining))
            except (asyncio.TimeoutError, TimeoutError):
                raise ApiError(504, f"No answer ended in {limit:g} s. Ask for fewer tokens.", code="timeout") from None
            if happened is None:
                return
            choice, event = happened
            if isinstance(event, Failed):
                raise ApiError(500, "The answer failed on the server; its log says where.") from event.error
            if isinstance(event, Ended):
                left -= 1
                self.completion_tokens += len(event.completion.tokens)
            yield choice, event

    def close(self) -> None:
        """Stop what is still under way."""
        if not self._open:
            return
        self._open = False
        for job in self.jobs:
            self._service.scheduler.cancel(job)
        self._queue.put_nowait(None)
        self._service.ended(self)

    def _job(self, candidates: list[Candidate], choice: int) -> Job:
        def tell(event: Event) -> None:
            with suppress(RuntimeError):  # The loop is closed: the server is stopping.
                self._loop.call_soon_threadsafe(self._queue.put_nowait, (choice, event))

        return Job(candidates, self.sampling.streams, tell)
