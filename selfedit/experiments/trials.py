"""Trains adapters on self-edits, several seeds each, asks them, and keeps every result as soon as it is there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from selfedit.domains.base import Domain
from selfedit.inner.base import InnerLoop
from selfedit.progress import Progress
from selfedit.search.evaluator import Evaluator
from selfedit.search.training import DIVERGED, try_all
from selfedit.store import Journal
from selfedit.types import Adapter, Evaluation, Hyperparameters, Recipe, SelfEdit, Task

_SEEDS = 1000
"""Training seeds of one run, at most; the next run's seed takes the ones behind them."""


@dataclass(frozen=True)
class Trial:
    """One adapter: trained on one edit with one seed, and asked. `failure` says why there are no answers."""

    edit_id: str
    task_id: str
    seed: int
    adapter_sha256: str = ""
    losses: tuple[float, ...] = ()
    after: Evaluation | None = None
    failure: str | None = None


OnChunk = Callable[[Sequence[Trial], str], None]


@dataclass(frozen=True)
class Job:
    """An edit to be trained on with a seed."""

    task: Task
    edit: SelfEdit
    seed: int

    @property
    def id(self) -> str:
        return f"{self.edit.id}.s{self.seed}"


class Trials:
    """Runs jobs in chunks of `chunk` adapters. A chunk is recorded whole or not at all.

    Which jobs share a chunk depends on all jobs alone, not on what was already done, so that a run that was killed
    and went on has the same neighbours in every batch, and so the same adapters to the bit.
    """

    def __init__(
        self,
        domain: Domain,
        inner: InnerLoop,
        evaluator: Evaluator,
        hyperparameters: Hyperparameters,
        chunk: int,
        journal: Journal,
        progress: Progress,
    ) -> None:
        self._domain, self._inner, self._evaluator = domain, inner, evaluator
        self._hyperparameters, self._chunk = hyperparameters, chunk
        self._journal, self._progress = journal, progress

    def run(self, key: str, label: str, jobs: Sequence[Job], on_chunk: OnChunk | None = None) -> list[Trial]:
        """One trial a job, in the order given.

        Args:
            key: names the jobs in the journal.
            on_chunk: is given the trials of each chunk that was not recorded before, and how far it goes.
        """
        trials: dict[str, Trial] = {}
        recipes: list[tuple[Job, Recipe]] = []
        for job in jobs:
            try:
                recipe = self._domain.recipe(job.task, job.edit, self._hyperparameters, job.seed)
            except ValueError as error:
                trials[job.id] = Trial(job.edit.id, job.task.id, job.seed, failure=str(error))
            else:
                recipes.append((job, Recipe(job.id, recipe.examples, recipe.hyperparameters, job.seed)))
        if trials and self._journal.get("trials", f"{key}.failed", tuple[Trial, ...]) is None:
            self._journal.put("trials", f"{key}.failed", tuple(trials.values()))
        # Jobs of like length together: no slot waits long for another at a chunk's end.
        recipes.sort(key=lambda pair: (-pair[1].tokens_per_epoch, pair[0].id))
        done = self._journal.in_chunks(
            "trials",
            key,
            tuple[Trial, ...],
            recipes,
            self._chunk,
            lambda part, count: self._try(part, f"{label} {count}"),
            on_chunk,
        )
        trials |= {job.id: trial for (job, _), trial in zip(recipes, done, strict=True)}
        return [trials[job.id] for job in jobs]

    def _try(self, part: Sequence[tuple[Job, Recipe]], label: str) -> tuple[Trial, ...]:
        pairs = [(job.task, recipe) for job, recipe in part]
        tried = try_all(self._inner, self._evaluator, pairs, label, self._progress)
        return tuple(
            Trial(job.edit.id, job.task.id, job.seed, fingerprint(one.adapter), one.adapter.losses, one.after)
            if one.after is not None
            else Trial(job.edit.id, job.task.id, job.seed, failure=DIVERGED)
            for (job, _), one in zip(part, tried, strict=True)
        )


def make_jobs(tasks: Sequence[Task], edits: Sequence[SelfEdit], seeds: int, seed: int) -> list[Job]:
    """Each edit with each of so many training seeds, which follow from the run's seed."""
    by_id = {task.id: task for task in tasks}
    return [Job(by_id[edit.task_id], edit, seed * _SEEDS + number) for edit in edits for number in range(seeds)]


def fingerprint(adapter: Adapter) -> str:
    """The hash of an adapter's weights."""
    digest = hashlib.sha256()
    for name, factors in sorted(adapter.factors.items()):
        digest.update(name.encode())
        for part in (factors.a_RI, factors.b_OR):
            digest.update(part.contiguous().numpy().tobytes())
    for name, weight in sorted(adapter.weights.items()):
        digest.update(name.encode())
        digest.update(weight.float().contiguous().numpy().tobytes())
    return digest.hexdigest()
