"""The search step of self-adaptation: write self-edits, train an adapter on each, ask, and join what was kept.

tasks -> propose -> evaluate_base, evaluate_edits -> rank, select (selection.py) -> join -> train -> gate (gates/)

`learn`, the experiments and `solve` are made of these; each says on which model, and what happens to the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from selfedit.files.journal import Records
from selfedit.policies.base import Policy
from selfedit.progress import Progress
from selfedit.search.executor import Chunk, Executor, TrialJob
from selfedit.search.keys import Kind, RecordKey
from selfedit.search.stages import Stages, local_executor
from selfedit.search.training import train_all, train_one
from selfedit.text.reading import sha256
from selfedit.types import Evaluation, Example, Hyperparameters, Model, Recipe, SelfEdit, Task, Trial, Update

if TYPE_CHECKING:
    from selfedit.inner.checkpoint import CheckpointFolder

UNASKED = "no question asks about this passage"
"""Why an edit is not tried: nothing could say what it is worth."""

T = TypeVar("T")

OnChunk = Callable[[Sequence[Trial], str], None]
"""Called with the trials of each chunk that was not recorded before, and how far it goes, as "16/48"."""

Finish = Callable[[Task, list[SelfEdit]], list[SelfEdit]]


@dataclass(frozen=True)
class Joined:
    """What several tasks' edits teach together; `unusable` are the ids of the tasks that have no usable edit."""

    examples: tuple[Example, ...]
    unusable: tuple[str, ...]


class Search:
    """Runs the step's parts. Whatever is done is recorded at once, and what is recorded is not done again.

    Args:
        records: where to. A search that need not be resumed has `Unrecorded` ones.
        max_adapters: adapters of one chunk, trained and recorded together: enough to refill slots.
    """

    def __init__(self, stages: Stages, records: Records, progress: Progress, max_adapters: int) -> None:
        self.stages, self._records, self._progress, self._max_adapters = stages, records, progress, max_adapters
        self._executor: Executor = stages.executor or local_executor(stages, progress)

    def propose(
        self,
        stage: str,
        tasks: Sequence[Task],
        count: int,
        model: Model,
        seed: int,
        writer: Policy | None = None,
        finish: Finish | None = None,
    ) -> list[SelfEdit]:
        """`count` self-edits a task, each task's recorded as soon as the last of them is written.

        Args:
            writer: in place of the policy.
            finish: what becomes of a task's edits before they are recorded.
        """
        edits: dict[str, tuple[SelfEdit, ...]] = {}
        whole = self._get(RecordKey("edits", stage), tuple[SelfEdit, ...]) if stage else None
        if whole is not None:  # Release 0.1 recorded a stage's edits all at once.
            return list(whole)
        for task in tasks:
            recorded = self._get(RecordKey("edits", stage, task.id), tuple[SelfEdit, ...])
            if recorded is not None:
                edits[task.id] = recorded
        missing = [task for task in tasks if task.id not in edits]
        if missing:
            edits |= self._write(stage, missing, count, model, seed, writer or self.stages.policy, finish)
        return [edit for task in tasks for edit in edits[task.id]]

    def _write(
        self,
        stage: str,
        tasks: Sequence[Task],
        count: int,
        model: Model,
        seed: int,
        writer: Policy,
        finish: Finish | None,
    ) -> dict[str, tuple[SelfEdit, ...]]:
        task_of = {task.id: task for task in tasks}
        writing: dict[str, list[SelfEdit]] = {task.id: [] for task in tasks}
        done: dict[str, tuple[SelfEdit, ...]] = {}

        def record(task: Task) -> None:
            edits = sorted(writing[task.id], key=lambda edit: (len(edit.id), edit.id))
            if finish is not None:
                edits = finish(task, edits)
            # An id is unique in the run, whatever stage and task it is from.
            done[task.id] = tuple(replace(e, id=f"{stage}.{e.id}") for e in edits) if stage else tuple(edits)
            self._put(RecordKey("edits", stage, task.id), done[task.id])

        label = f"Writing self-edits, {stage}" if stage else "Writing self-edits"
        with self._progress.bar(label, len(tasks) * count, "edits") as bar:

            def on_edit(edit: SelfEdit) -> None:
                bar.advance()
                writing[edit.task_id].append(edit)
                if len(writing[edit.task_id]) == count:
                    record(task_of[edit.task_id])

            # A writer of another kind than the search's own policy is known here alone.
            executor = self._executor if writer is self.stages.policy else local_executor(self.stages, self._progress)
            executor.write(writer, tasks, count, seed, model, on_edit)
        for task in tasks:
            if task.id not in done:  # A file may have fewer edits than were asked for.
                record(task)
        return done

    def evaluate_base(
        self, stage: str, tasks: Sequence[Task], model: Model, label: str, *, with_context: bool = False
    ) -> tuple[Evaluation, ...]:
        """The probes asked of a model as it is."""
        return self._evaluate("before", stage, tasks, model, label, with_context)

    def evaluate_update(self, stage: str, tasks: Sequence[Task], model: Model, label: str) -> tuple[Evaluation, ...]:
        """The probes asked of a model after an update."""
        return self._evaluate("after", stage, tasks, model, label, False)

    def _evaluate(
        self, kind: Kind, stage: str, tasks: Sequence[Task], model: Model, label: str, with_context: bool
    ) -> tuple[Evaluation, ...]:
        key = RecordKey(kind, stage)
        recorded = self._get(key, tuple[Evaluation, ...])
        if recorded is None:
            with self._progress.bar(label, sum(len(task.probes) for task in tasks), "questions") as bar:
                recorded = tuple(self._executor.ask(tasks, model, bar.advance, with_context=with_context))
            self._put(key, recorded)
        return recorded

    def evaluate_edits(
        self,
        stage: str,
        tasks: Sequence[Task],
        edits: Sequence[SelfEdit],
        model: Model,
        hyperparameters: Hyperparameters,
        seeds: Sequence[int],
        label: str,
        on_chunk: OnChunk | None = None,
    ) -> list[Trial]:
        """An adapter trained on each edit with each seed and asked: one trial each, edit by edit, seed by seed.

        Which adapters share a chunk depends on all of them alone, not on what was already done, so that a search that
        was killed and went on has the same neighbours in every batch, and so the same adapters to the bit.
        """
        task_of = {task.id: task for task in tasks}
        trials: dict[tuple[str, int], Trial] = {}
        jobs: list[TrialJob] = []
        for edit in edits:
            for seed in seeds:
                job = self._job(task_of[edit.task_id], edit, hyperparameters, seed)
                if isinstance(job, Trial):
                    trials[edit.id, seed] = job
                else:
                    jobs.append(job)
        self._record_failed(stage, trials.values())
        # Jobs of like length together: no slot waits long for another at a chunk's end.
        jobs.sort(key=lambda job: (-job.recipe.tokens_per_epoch, job.recipe.id))
        for trial in self._in_chunks(stage, jobs, model, label, on_chunk):
            trials.setdefault((trial.edit_id, trial.seed), trial)  # What is refused now may have been tried before.
        return [trials[edit.id, seed] for edit in edits for seed in seeds]

    def check_edits(
        self, stage: str, tasks: Sequence[Task], edits: Sequence[SelfEdit], hyperparameters: Hyperparameters, seed: int
    ) -> list[Trial]:
        """A failure for each edit that cannot be used: all that a reward without training has to know."""
        task_of = {task.id: task for task in tasks}
        jobs = [self._job(task_of[edit.task_id], edit, hyperparameters, seed) for edit in edits]
        failures = [job for job in jobs if isinstance(job, Trial) and job.failure != UNASKED]
        self._record_failed(stage, failures)
        return failures

    def _job(self, task: Task, edit: SelfEdit, hyperparameters: Hyperparameters, seed: int) -> TrialJob | Trial:
        """What is to be trained; or a failure for an edit that cannot be used, or whose worth nothing can tell."""
        try:
            recipe = self.stages.domain.recipe(task, edit, hyperparameters, seed)
        except ValueError as error:
            return Trial(edit.id, task.id, seed, failure=str(error))
        if refusal := self.stages.reward.refusal(task, edit):
            return Trial(edit.id, task.id, seed, failure=refusal)
        if not task.probes:
            return Trial(edit.id, task.id, seed, failure=UNASKED)
        return TrialJob(task, edit.id, replace(recipe, id=f"{edit.id}.s{seed}"))

    def _record_failed(self, stage: str, trials: Iterable[Trial]) -> None:
        failed = tuple(trials)
        key = RecordKey("trials", stage, chunk="failed")
        if failed and self._get(key, tuple[Trial, ...]) is None:
            self._put(key, failed)

    def _in_chunks(
        self, stage: str, jobs: Sequence[TrialJob], model: Model, label: str, on_chunk: OnChunk | None
    ) -> list[Trial]:
        """The trials of all jobs. A chunk is recorded whole or not at all; there may be some of another size."""
        done: list[Trial] = []
        number = 0
        while (recorded := self._get(RecordKey("trials", stage, chunk=number), tuple[Trial, ...])) is not None:
            done += recorded
            number += 1
        known = {(trial.edit_id, trial.seed) for trial in done}
        chunks = []
        for place, start in enumerate(range(0, len(jobs), self._max_adapters)):
            part = jobs[start : start + self._max_adapters]
            left = tuple(job for job in part if (job.edit_id, job.recipe.seed) not in known)
            if left:
                chunks.append(Chunk(f"{stage}.{place}", left))
        count = len(jobs) - sum(len(chunk.jobs) for chunk in chunks)
        for each in self._executor.trials(chunks, model, label, count, self._checkpoint):
            self._put(RecordKey("trials", stage, chunk=number), each.trials)
            if each.work is not None:
                self._records.put("work", each.work.key, each.work)
            self.done_with(each.chunk.name)
            count += len(each.trials)
            if on_chunk is not None:
                on_chunk(each.trials, f"{count}/{len(jobs)}")
            done += each.trials
            number += 1
        return done

    def join(
        self,
        tasks: Sequence[Task],
        edits: Sequence[SelfEdit],
        hyperparameters: Hyperparameters,
        seed: int,
        *,
        unique: bool = False,
    ) -> Joined:
        """What the edits of several tasks teach together, task by task.

        Args:
            unique: leave out examples that stand there already.
        """
        examples: list[Example] = []
        unusable: list[str] = []
        edits_of: dict[str, list[SelfEdit]] = {task.id: [] for task in tasks}
        for edit in edits:
            edits_of.setdefault(edit.task_id, []).append(edit)
        for task in tasks:
            usable = False
            for edit in edits_of[task.id]:
                try:
                    examples += self.stages.domain.recipe(task, edit, hyperparameters, seed).examples
                    usable = True
                except ValueError:
                    continue
            if not usable:
                unusable.append(task.id)
        return Joined(tuple(dict.fromkeys(examples) if unique else examples), tuple(unusable))

    def train(self, recipe: Recipe, model: Model, label: str, setting: str) -> Update:
        """One update that the rest of a run needs; interrupted, it goes on where it was.

        What was trained is kept until `done_with`, for which its owner says when it is recorded.

        Raises:
            UserError: training diverged. `setting` is the learning rate that should be lower.
        """
        return train_one(self.stages.inner, recipe, model, label, self._progress, setting, self._checkpoint(recipe.id))

    def train_all(self, name: str, recipes: Sequence[Recipe], model: Model, label: str) -> dict[str, Update]:
        """As `train`, several updates at once, by the ids of their recipes. Some may not be sound.

        Args:
            name: of this work, for `done_with`.
        """
        return train_all(self.stages.inner, recipes, model, label, self._progress, self._checkpoint(name))

    def done_with(self, recipe_id: str) -> None:
        """Let go of what `train` kept."""
        if (checkpoint := self._checkpoint(recipe_id)) is not None:
            checkpoint.clear()

    def _checkpoint(self, name: str) -> CheckpointFolder | None:
        """Where training keeps what it would lose; None where nothing is recorded."""
        from selfedit.inner.checkpoint import CheckpointFolder  # Which imports torch.

        records = self._records
        if records.folder is None:
            return None
        # Names may hold what users call their files, and no path comes from that.
        path = records.folder / "checkpoints" / sha256(name.encode())[:16]
        return CheckpointFolder(path, owner=records.owner, instead=records.instead)

    def _get(self, key: RecordKey, type_: type[T]) -> T | None:
        return self._records.get(key.kind, str(key), type_)

    def _put(self, key: RecordKey, value: object) -> None:
        self._records.put(key.kind, str(key), value)
