"""The driver of many workers: hands out chunks, takes each one's first result, and lets workers come and go."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from selfedit.errors import UserError
from selfedit.executors.fleet import Answered, Event, Fleet, Gone, Ready, Unfit
from selfedit.executors.identity import model_sha256
from selfedit.executors.scheduler import ATTEMPTS, Scheduler
from selfedit.executors.wire import (
    Answer,
    Asking,
    Order,
    Training,
    Writing,
    pack_message,
    pack_model,
    pack_order,
    unpack_results,
)
from selfedit.files.serialize import decode
from selfedit.policies.base import OnEdit, Policy
from selfedit.progress import Progress
from selfedit.search.executor import CheckpointOf, Chunk, Done, Executor, Work
from selfedit.types import Evaluation, Model, SelfEdit, Task, Trial

_POLL_S = 1.0
_NOTE_S = 60.0
# How long a run waits without any worker, as where a cluster is being mended.
_PATIENCE_S = 600.0


@dataclass(frozen=True)
class _Job:
    """An order by its name, and what it costs beside the others. It is packed when it is sent, and not before."""

    name: str
    cost: float
    order: Order


@dataclass(frozen=True)
class _Outcome:
    """What came of a job. `answer` has a failure where it was given up."""

    name: str
    answer: Answer
    worker: str
    attempts: int

    @property
    def given_up(self) -> str:
        """Why, in one line."""
        return f"{self.name} failed {ATTEMPTS} times, last on {self.worker}: {self.answer.failure}"


class PoolExecutor(Executor):
    """Gives chunks to the workers of a fleet.

    Args:
        identity: what results depend on beside base, policy, recipes and seeds: code, packages and settings.
        size: edits of one order to write, and tasks of one to ask.
        start_s: seconds that the first workers have to load the base.

    Raises:
        UserError: a worker cannot be used, or none came.
    """

    def __init__(self, fleet: Fleet, progress: Progress, identity: str, size: int, start_s: float = 600.0) -> None:
        self._fleet, self._progress, self._identity, self._size = fleet, progress, identity, size
        self._hosts: dict[str, str] = {}
        self._busy: dict[str, str] = {}
        try:
            self._wait_for_workers(start_s)
        except BaseException:
            fleet.close()
            raise

    def trials(
        self, chunks: Sequence[Chunk], model: Model, label: str, done: int, checkpoint: CheckpointOf
    ) -> Iterator[Done]:
        """As they end. Workers keep no checkpoints: one that dies costs its chunk again."""
        by_name = {chunk.name: chunk for chunk in chunks}
        jobs = [_Job(chunk.name, _tokens(chunk), Training(chunk.jobs)) for chunk in chunks]
        with self._progress.bar(label, done + sum(len(chunk.jobs) for chunk in chunks), "adapters") as bar:
            bar.advance(done)
            for outcome in self._run(jobs, model, label):
                chunk = by_name[outcome.name]
                trials = self._trials(chunk, outcome)
                bar.advance(len(trials))
                yield Done(chunk, trials, self._work(outcome, trials))

    def write(
        self, policy: Policy, tasks: Sequence[Task], count: int, seed: int, model: Model, on_edit: OnEdit
    ) -> None:
        parts = self._parts(tasks, count)
        jobs = [_Job(f"writing {n}", len(part), Writing(part, count, seed)) for n, part in enumerate(parts)]
        for outcome in self._needed(jobs, model, "Writing self-edits"):
            for edit in unpack_results(Writing, outcome.answer.results):
                assert isinstance(edit, SelfEdit)
                on_edit(edit)

    def ask(
        self, tasks: Sequence[Task], model: Model, on_answer: Callable[[], None], *, with_context: bool = False
    ) -> list[Evaluation]:
        parts = self._parts(tasks, 1)
        jobs = [_Job(f"asking {n}", len(part), Asking(part, with_context)) for n, part in enumerate(parts)]
        answered: dict[str, list[Evaluation]] = {}
        for outcome in self._needed(jobs, model, "Asking"):
            results = unpack_results(Asking, outcome.answer.results)
            answered[outcome.name] = [each for each in results if isinstance(each, Evaluation)]
            for each in answered[outcome.name]:
                for _ in each.answers:
                    on_answer()
        return [evaluation for job in jobs for evaluation in answered[job.name]]

    def close(self) -> None:
        self._fleet.close()

    def _parts(self, tasks: Sequence[Task], count: int) -> list[tuple[Task, ...]]:
        size = max(1, self._size // count)
        return [tuple(tasks[start : start + size]) for start in range(0, len(tasks), size)]

    def _needed(self, jobs: Sequence[_Job], model: Model, label: str) -> Iterator[_Outcome]:
        """The outcomes of jobs none of which may be missing. UserError where one failed again and again."""
        for outcome in self._run(jobs, model, label):
            if outcome.answer.failure:
                raise UserError(f"{label}: {outcome.given_up}. Mend that; the same command then goes on.")
            yield outcome

    def _run(self, jobs: Sequence[_Job], model: Model, label: str) -> Iterator[_Outcome]:
        """What came of each job, once, as they end."""
        hands = _Hands(jobs, model_sha256(model), pack_model(model), self._identity)
        shown = _Shown(self._progress, label, len(jobs))
        last_worker = time.monotonic()
        ended: list[_Outcome] = []
        while hands.scheduler.left:
            self._hand_out(hands)  # Before results are looked at: no worker waits for that.
            yield from ended
            ended = [each for event in self._fleet.poll(_POLL_S) if (each := self._settle(event, hands))]
            shown.done(len(ended))
            shown.tick(len(self._hosts))
            if self._hosts:
                last_worker = time.monotonic()
            elif time.monotonic() - last_worker > _PATIENCE_S:
                raise UserError(f"{label}: no worker is left. Bring some back; the same command then goes on.")
        yield from ended

    def _hand_out(self, hands: _Hands) -> None:
        """Give every idle worker something to do, as long as there is something."""
        now = time.monotonic()
        for worker in [worker for worker in self._hosts if worker not in self._busy]:
            name = hands.scheduler.next(worker, now, self._hosts.keys() - {worker})
            if name is not None:
                message, self._busy[worker] = hands.message(name)
                self._fleet.send(worker, name, message, hands.model_key, hands.model)
            elif not hands.scheduler.waiting:
                return  # Nor is there anything for the others.

    def _settle(self, event: Event, hands: _Hands) -> _Outcome | None:
        """Note what an event says; an outcome where it ends a job."""
        if isinstance(event, Ready):
            self._hosts[event.worker] = event.host
            return None
        if isinstance(event, Unfit):
            self._progress.note(f"{event.host} is left out: {event.reason}.")
            return None
        key = self._busy.pop(event.worker, "")
        if isinstance(event, Gone):
            self._hosts.pop(event.worker, None)
            answer = Answer(key, failure=f"its worker died: {event.reason}")
        else:
            answer = decode(Answer, event.data)
        name = hands.names.get(answer.key)
        if name is None:  # Of work that ended without it.
            return None
        scheduler = hands.scheduler
        if answer.failure:
            ended = scheduler.failed(name, event.worker, blamed=isinstance(event, Answered) or event.blamed)
        else:
            ended = scheduler.done(name, event.worker, time.monotonic())
        return _Outcome(name, answer, event.worker, scheduler.begun(name)) if ended else None

    def _trials(self, chunk: Chunk, outcome: _Outcome) -> tuple[Trial, ...]:
        """The trials of a chunk; failures with their reason where it was given up.

        Raises:
            UserError: what is wrong can be mended, as a judge that does not answer.
        """
        if not outcome.answer.failure:
            results = unpack_results(Training, outcome.answer.results)
            return tuple(each for each in results if isinstance(each, Trial))
        if outcome.answer.user:
            raise UserError(f"{outcome.given_up} The same command then goes on.")
        self._progress.note(outcome.given_up)
        return tuple(Trial(job.edit_id, job.task.id, job.recipe.seed, failure=outcome.given_up) for job in chunk.jobs)

    def _work(self, outcome: _Outcome, trials: Sequence[Trial]) -> Work:
        return Work(
            key=outcome.answer.key,
            name=outcome.name,
            worker=outcome.worker,
            host=self._hosts.get(outcome.worker, ""),
            seconds=round(outcome.answer.seconds, 3),
            attempts=outcome.attempts,
            adapters=len(trials),
            failed=sum(trial.failure is not None for trial in trials),
        )

    def _wait_for_workers(self, start_s: float) -> None:
        """Until all of the first ones have said whether they are ready."""
        ends = time.monotonic() + start_s
        with self._progress.bar("Starting workers", self._fleet.starting, "workers") as bar:
            while (self._fleet.starting or not self._hosts) and time.monotonic() < ends:
                for event in self._fleet.poll(_POLL_S):
                    if isinstance(event, Unfit):
                        raise UserError(f"A worker on {event.host} cannot be used: {event.reason}.")
                    if isinstance(event, Gone) and event.blamed:
                        raise UserError(f"A worker died while it loaded the base: {event.reason}.")
                    if isinstance(event, Ready):
                        self._hosts[event.worker] = event.host
                        bar.advance()
        if not self._hosts:
            raise UserError(f"No worker was ready within {start_s:.0f} s: see whether a machine has room for one.")


class _Hands:
    """What is handed out in one go: the jobs, and the model that they are about."""

    def __init__(self, jobs: Sequence[_Job], model_key: str, model: bytes, identity: str) -> None:
        self.model_key, self.model = model_key, model
        self.scheduler = Scheduler({job.name: job.cost for job in jobs})
        self.names: dict[str, str] = {}
        self._orders, self._identity = {job.name: job.order for job in jobs}, identity

    def message(self, name: str) -> tuple[bytes, str]:
        """A job for a worker, and its key: the hash of all that its results depend on."""
        order = pack_order(self._orders[name])
        key = hashlib.sha256(f"{self._identity}/{self.model_key}/".encode() + order).hexdigest()
        self.names[key] = name
        return pack_message(key, order), key


class _Shown:
    """Says now and then how many workers there are, and how fast they are."""

    def __init__(self, progress: Progress, label: str, total: int) -> None:
        self._progress, self._label, self._total, self._ended = progress, label, total, 0
        self._began = self._said = time.monotonic()

    def done(self, count: int) -> None:
        """So many chunks more."""
        self._ended += count

    def tick(self, workers: int) -> None:
        """Say it, if it is time."""
        now = time.monotonic()
        if now - self._said >= _NOTE_S:
            self._said = now
            rate = 60 * self._ended / (now - self._began)
            count = f"{workers} worker{'s' * (workers != 1)}, {self._ended} of {self._total} chunks"
            self._progress.note(f"{self._label}: {count}, {rate:.1f} a minute")


def _tokens(chunk: Chunk) -> float:
    """What a chunk costs."""
    return sum(job.recipe.tokens_per_epoch * job.recipe.hyperparameters.epochs for job in chunk.jobs)
