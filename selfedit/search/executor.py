"""Where adapters are trained and asked: data in, data out. Those on many machines are in `selfedit.executors`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from selfedit.documents.general import general_tasks
from selfedit.files.hashing import update_sha256
from selfedit.inner.base import InnerLoop
from selfedit.policies.base import OnEdit, Policy
from selfedit.progress import Progress
from selfedit.search.evaluator import Evaluator
from selfedit.search.training import DIVERGED, is_sound, train_all
from selfedit.types import Evaluation, Model, Recipe, Task, Trial, pooled

if TYPE_CHECKING:
    from selfedit.inner.checkpoint import CheckpointFolder


# One in so many general questions is asked of each adapter: 20 of 160.
_EVERY = 8


@dataclass(frozen=True)
class TrialJob:
    """An adapter to be trained by a recipe, and the task whose probes it is to be asked."""

    task: Task
    edit_id: str
    recipe: Recipe


@dataclass(frozen=True)
class Chunk:
    """Adapters that are trained together and recorded together. `name` is its own in a run."""

    name: str
    jobs: tuple[TrialJob, ...]


@dataclass(frozen=True)
class Work:
    """Who did a chunk.

    Attributes:
        key: the hash of all that the results depend on.
        name: of the chunk.
        worker: which one it was, and `host` where.
        seconds: there.
        attempts: how often it was begun, the last one included.
        adapters, failed: how many, and how many of them have no answers.
    """

    key: str
    name: str
    worker: str
    host: str
    seconds: float
    attempts: int
    adapters: int
    failed: int


@dataclass(frozen=True)
class Done:
    """A chunk's trials, in the order of its jobs; and who did it, where that is not this process."""

    chunk: Chunk
    trials: tuple[Trial, ...]
    work: Work | None = None


CheckpointOf = Callable[[str], "CheckpointFolder | None"]
"""Where the training of a chunk of that name keeps its state."""


class Executor(ABC):
    """Does the expensive parts of the search step, each on a model that is a value."""

    @abstractmethod
    def trials(
        self, chunks: Sequence[Chunk], model: Model, label: str, done: int, checkpoint: CheckpointOf
    ) -> Iterator[Done]:
        """Train one adapter a job on a model and ask it its task's probes; chunks as they end, in any order.

        An adapter that diverged is a trial with a failure.

        Args:
            done: adapters of this work that were done before, for what is shown.
        """

    @abstractmethod
    def write(
        self, policy: Policy, tasks: Sequence[Task], count: int, seed: int, model: Model, on_edit: OnEdit
    ) -> None:
        """`count` self-edits a task, by a policy that is the search's own."""

    @abstractmethod
    def ask(
        self, tasks: Sequence[Task], model: Model, on_answer: Callable[[], None], *, with_context: bool = False
    ) -> list[Evaluation]:
        """The tasks' probes asked of a model as it is."""

    def close(self) -> None:
        """Let workers go."""
        return


class LocalExecutor(Executor):
    """In this process: all adapters of a chunk at once, chunk after chunk.

    Args:
        general: what asks each adapter a sample of the general questions; None asks none.
    """

    def __init__(
        self, inner: InnerLoop, evaluator: Evaluator, progress: Progress, general: Evaluator | None = None
    ) -> None:
        self._inner, self._evaluator, self._progress, self._general = inner, evaluator, progress, general

    def trials(
        self, chunks: Sequence[Chunk], model: Model, label: str, done: int, checkpoint: CheckpointOf
    ) -> Iterator[Done]:
        total = done + sum(len(chunk.jobs) for chunk in chunks)
        for chunk in chunks:
            done += len(chunk.jobs)
            yield Done(chunk, self.run(chunk.jobs, model, f"{label} {done}/{total}", checkpoint(chunk.name)))

    def write(
        self, policy: Policy, tasks: Sequence[Task], count: int, seed: int, model: Model, on_edit: OnEdit
    ) -> None:
        policy.propose(tasks, count, seed, model, on_edit)

    def ask(
        self, tasks: Sequence[Task], model: Model, on_answer: Callable[[], None], *, with_context: bool = False
    ) -> list[Evaluation]:
        return self._evaluator.evaluate([(task, model) for task in tasks], on_answer, with_context)

    def run(
        self, jobs: Sequence[TrialJob], model: Model, label: str, checkpoint: CheckpointFolder | None = None
    ) -> tuple[Trial, ...]:
        """One trial a job, in their order."""
        recipes = [job.recipe for job in jobs]
        updates = train_all(self._inner, recipes, model, label, self._progress, checkpoint)
        sound = [job for job in jobs if is_sound(updates[job.recipe.id])]
        pairs = [(job.task, model.with_update(updates[job.recipe.id])) for job in sound]
        with self._progress.bar("Asking the adapters", sum(len(task.probes) for task, _ in pairs), "questions") as bar:
            evaluations = self._evaluator.evaluate(pairs, bar.advance)
        general = self._general_changes(model, [learnt for _, learnt in pairs])
        changes = {job.recipe.id: change for job, change in zip(sound, general, strict=True)}
        afters = {job.recipe.id: after for job, after in zip(sound, evaluations, strict=True)}
        trials = []
        for job in jobs:
            head = (job.edit_id, job.task.id, job.recipe.seed)
            update = updates[job.recipe.id]
            if job.recipe.id in afters:
                trials.append(
                    Trial(
                        *head,
                        update_sha256(update),
                        update.losses,
                        afters[job.recipe.id],
                        general_change=changes[job.recipe.id],
                    )
                )
            else:
                trials.append(Trial(*head, failure=DIVERGED))
        return tuple(trials)

    def _general_changes(self, model: Model, learnt: Sequence[Model]) -> list[float | None]:
        """By how much each adapter changes the log-probability of general questions' gold answers."""
        if self._general is None or not learnt:
            return [None] * len(learnt)
        tasks = [replace(task, probes=task.probes[::_EVERY]) for task in general_tasks()]
        asked = self._general.evaluate([(task, each) for each in (model, *learnt) for task in tasks])
        rows = [pooled(asked[start : start + len(tasks)]) for start in range(0, len(asked), len(tasks))]
        return [row.gold_logprob - rows[0].gold_logprob for row in rows[1:]]
