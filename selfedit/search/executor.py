"""Where adapters are trained and asked: data in, data out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from selfedit.documents.general import general_tasks
from selfedit.files.hashing import update_sha256
from selfedit.inner.base import InnerLoop
from selfedit.progress import Progress
from selfedit.search.evaluator import Evaluator
from selfedit.search.training import DIVERGED, is_sound, train_all
from selfedit.types import Model, Recipe, Task, Trial, pooled

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


class Executor(ABC):
    """Trains one adapter a job on a model, and asks it its task's probes."""

    @abstractmethod
    def run(
        self, jobs: Sequence[TrialJob], model: Model, label: str, checkpoint: CheckpointFolder | None = None
    ) -> tuple[Trial, ...]:
        """One trial a job, in their order. An adapter that diverged is a trial with a failure."""


class LocalExecutor(Executor):
    """In this process: all adapters of a call at once.

    Args:
        general: what asks each adapter a sample of the general questions; None asks none.
    """

    def __init__(
        self, inner: InnerLoop, evaluator: Evaluator, progress: Progress, general: Evaluator | None = None
    ) -> None:
        self._inner, self._evaluator, self._progress, self._general = inner, evaluator, progress, general

    def run(
        self, jobs: Sequence[TrialJob], model: Model, label: str, checkpoint: CheckpointFolder | None = None
    ) -> tuple[Trial, ...]:
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
