"""One turn of the loop with the policy fixed: read, write self-edits, train, ask, keep what helps, commit.

tasks -> Policy.propose -> Domain.recipe -> InnerLoop.adapt -> Evaluator.evaluate -> Reward -> gate -> Store
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from selfedit.domains.base import Domain
from selfedit.inner.base import InnerLoop
from selfedit.learn.config import LearnConfig
from selfedit.learn.prepare import Material
from selfedit.policies.base import Policy
from selfedit.policies.questions import QuestionWriter
from selfedit.progress import Progress
from selfedit.rewards import Reward
from selfedit.runtime import software_versions
from selfedit.search.evaluator import Evaluator
from selfedit.search.training import DIVERGED, is_sound, train_all, try_all
from selfedit.store import Journal, Store
from selfedit.types import Adapter, Evaluation, ModelRef, ProbeSource, Recipe, Rollout, SelfEdit, Task, Version


@dataclass(frozen=True)
class Stages:
    """What a run is composed of."""

    policy: Policy
    questions: QuestionWriter
    domain: Domain
    inner: InnerLoop
    evaluator: Evaluator
    reward: Reward


@dataclass(frozen=True)
class LearnResult:
    """What came of a run. `version` is None if nothing was committed, and `reason` says why."""

    version: Version | None
    reason: str
    tasks: tuple[Task, ...]
    rollouts: tuple[Rollout, ...]
    probe_source: ProbeSource
    probes_dropped: int
    before: tuple[Evaluation, ...]
    after: tuple[Evaluation, ...]
    seconds: float


class LearnRun:
    """A run that can be killed at any point: done alike again, it goes on with what is missing.

    Each finished piece (questions, a self-edit, an evaluation) is in the journal before the next begins.
    """

    def __init__(
        self, stages: Stages, store: Store, journal: Journal, base: ModelRef, config: LearnConfig, progress: Progress
    ) -> None:
        self._stages, self._store, self._journal = stages, store, journal
        self._base, self._config, self._progress = base, config, progress

    def run(self, material: Material, fan_in_fan_out: bool = False) -> LearnResult:
        """Learn the material and commit a version, unless nothing in it makes the model better."""
        started = time.monotonic()
        tasks, source, dropped = self._with_probes(material)
        if not any(task.probes for task in tasks):
            reason = "there is no question to measure it by; give some with --questions"
            unasked = tuple(Evaluation(task.id, "none", ()) for task in tasks)
            return LearnResult(None, reason, tasks, (), source, dropped, unasked, (), time.monotonic() - started)
        edits = self._write_edits(tasks)
        before = self._ask_base(tasks)
        rollouts = _mark_kept(self._try_edits(tasks, edits), before, tasks, self._stages.reward)
        adapter = self._train_final(tasks, rollouts)
        after = self._ask_final(tasks, adapter) if adapter is not None else ()
        reason = self._gate(adapter, before, after, rollouts)
        seconds = time.monotonic() - started
        result = LearnResult(None, reason, tasks, rollouts, source, dropped, before, after, seconds)
        if reason or adapter is None:
            return result
        return replace(result, version=self._commit(material, result, adapter, fan_in_fan_out))

    def _with_probes(self, material: Material) -> tuple[tuple[Task, ...], ProbeSource, int]:
        """The tasks with probes: those that came with them, or else those that the model writes."""
        if material.probe_source is not None:
            return material.tasks, material.probe_source, 0
        saved = self._journal.get("questions", "all", tuple[tuple[Task, ...], int])
        if saved is None:
            with self._progress.bar("Writing questions", len(material.tasks), "passages") as bar:
                probes, dropped = self._stages.questions.write(
                    material.tasks, self._config.questions_per_passage, self._config.seed
                )
                bar.advance(len(material.tasks))
            saved = (tuple(replace(task, probes=probes[task.id]) for task in material.tasks), dropped)
            self._journal.put("questions", "all", saved)
        return saved[0], "model", saved[1]

    def _write_edits(self, tasks: Sequence[Task]) -> list[SelfEdit]:
        edits: dict[str, list[SelfEdit]] = {}
        missing = []
        for task in tasks:
            saved = self._journal.get("edits", task.id, tuple[SelfEdit, ...])
            if saved is None:
                missing.append(task)
            else:
                edits[task.id] = list(saved)
        if missing:
            edits |= self._propose(missing)
        return [edit for task in tasks for edit in edits[task.id]]

    def _propose(self, tasks: Sequence[Task]) -> dict[str, list[SelfEdit]]:
        """New self-edits by task id; each task's are in the journal as soon as the last of them is written."""
        by_id = {task.id: task for task in tasks}
        edits: dict[str, list[SelfEdit]] = {task.id: [] for task in tasks}
        saved: set[str] = set()

        def save(task: Task) -> None:
            own = sorted(edits[task.id], key=lambda edit: (len(edit.id), edit.id))
            if not any(self._stages.domain.is_usable(task, edit) for edit in own):
                own.append(_passage_alone(task, self._config.seed))
            edits[task.id] = own
            self._journal.put("edits", task.id, tuple(own))
            saved.add(task.id)

        with self._progress.bar("Writing self-edits", len(tasks) * self._config.edits, "edits") as bar:

            def written(edit: SelfEdit) -> None:
                bar.advance()
                edits[edit.task_id].append(edit)
                if len(edits[edit.task_id]) == self._config.edits:
                    save(by_id[edit.task_id])

            self._stages.policy.propose(tasks, self._config.edits, self._config.seed, written)
        for task in tasks:
            # A file may have fewer edits than were asked for.
            if task.id not in saved:
                save(task)
        return edits

    def _ask_base(self, tasks: Sequence[Task]) -> tuple[Evaluation, ...]:
        """Each task's probes asked of the base, once: every edit of the task is held against the same answers."""
        saved = self._journal.get("before", "all", tuple[Evaluation, ...])
        if saved is None:
            with self._progress.bar(
                "Asking the base model", sum(len(task.probes) for task in tasks), "questions"
            ) as bar:
                saved = tuple(self._stages.evaluator.evaluate([(task, None) for task in tasks], on_answer=bar.advance))
            self._journal.put("before", "all", saved)
        return saved

    def _try_edits(self, tasks: Sequence[Task], edits: Sequence[SelfEdit]) -> list[Rollout]:
        """Train one adapter on each edit, many at once, and ask each its task's probes."""
        by_id = {task.id: task for task in tasks}
        rollouts: dict[str, Rollout] = {}
        waiting: list[tuple[Task, SelfEdit, Recipe]] = []
        for edit in edits:
            task = by_id[edit.task_id]
            if not self._stages.domain.is_usable(task, edit):
                rollouts[edit.id] = Rollout(edit, failure="nothing in the edit could be used")
            elif not task.probes:
                rollouts[edit.id] = Rollout(edit, failure="no question asks about this passage")
            else:
                recipe = self._stages.domain.recipe(
                    task, edit, self._config.edit_training.hyperparameters(), self._config.seed
                )
                waiting.append((task, edit, recipe))
        # Two rounds of slots a chunk: enough to refill them, few enough to lose little work when killed.
        size = 2 * self._config.slots
        waiting.sort(key=lambda job: -job[2].tokens_per_epoch)
        done = self._journal.in_chunks("rollouts", "all", tuple[Rollout, ...], waiting, size, self._try_chunk)
        rollouts |= {rollout.edit.id: rollout for rollout in done}
        return [rollouts[edit.id] for edit in edits]

    def _try_chunk(self, chunk: Sequence[tuple[Task, SelfEdit, Recipe]], count: str) -> tuple[Rollout, ...]:
        pairs = [(task, recipe) for task, _, recipe in chunk]
        tried = try_all(self._stages.inner, self._stages.evaluator, pairs, f"Training edits {count}", self._progress)
        return tuple(
            Rollout(edit, one.after, one.adapter.losses) if one.after is not None else Rollout(edit, failure=DIVERGED)
            for (_, edit, _), one in zip(chunk, tried, strict=True)
        )

    def _train_final(self, tasks: Sequence[Task], rollouts: Sequence[Rollout]) -> Adapter | None:
        """One adapter on all kept edits together."""
        by_id = {task.id: task for task in tasks}
        hyperparameters = self._config.final_training.hyperparameters()
        examples = tuple(
            example
            for rollout in rollouts
            if rollout.kept
            for example in self._stages.domain.recipe(
                by_id[rollout.edit.task_id], rollout.edit, hyperparameters, self._config.seed
            ).examples
        )
        if not examples:
            return None
        recipe = Recipe("final", examples, hyperparameters, self._config.seed)
        return train_all(self._stages.inner, [recipe], "Training the version", self._progress)["final"]

    def _ask_final(self, tasks: Sequence[Task], adapter: Adapter) -> tuple[Evaluation, ...]:
        if not is_sound(adapter):
            return ()
        with self._progress.bar("Asking the version", sum(len(task.probes) for task in tasks), "questions") as bar:
            pairs: list[tuple[Task, str | None]] = [(task, "final") for task in tasks]
            return tuple(self._stages.evaluator.evaluate(pairs, {"final": adapter}, bar.advance))

    def _gate(
        self,
        adapter: Adapter | None,
        before: tuple[Evaluation, ...],
        after: tuple[Evaluation, ...],
        rollouts: Sequence[Rollout],
    ) -> str:
        """Why the version must not be committed; empty if it may."""
        if adapter is None:
            usable = sum(rollout.after is not None for rollout in rollouts)
            return f"none of the {len(rollouts)} self-edits ({usable} of them usable) beat the base model"
        if not after:
            return "training the final adapter diverged; a lower learning rate may help"
        if _worth(_all_answers(after)) <= _worth(_all_answers(before)):
            return "the adapter trained on all kept self-edits does not answer better than the base model"
        return ""

    def _commit(self, material: Material, result: LearnResult, adapter: Adapter, fan_in_fan_out: bool) -> Version:
        """Commit the version, once: a run that was killed when it had done so finds it by its time."""
        created = self._journal.get("created", "version", str)
        if created is not None:
            for version in self._store.versions():
                if (version.created, version.documents) == (created, material.documents):
                    return version
        else:
            created = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self._journal.put("created", "version", created)
        version = Version(
            id="",
            created=created,
            base=self._base,
            documents=material.documents,
            tasks=result.tasks,
            probe_source=result.probe_source,
            probes_dropped=result.probes_dropped,
            settings=self._config.model_dump(mode="json"),
            software=software_versions(),
            rollouts=result.rollouts,
            before=result.before,
            after=result.after,
            losses=adapter.losses,
            seconds=result.seconds,
        )
        return self._store.commit(version, adapter, fan_in_fan_out=fan_in_fan_out)


def _passage_alone(task: Task, seed: int) -> SelfEdit:
    """What is tried for a passage about which nothing usable was written: training on its text."""
    return SelfEdit(f"{task.id}.passage", task.id, "none", "", "", seed)


def _mark_kept(
    rollouts: Sequence[Rollout], before: Sequence[Evaluation], tasks: Sequence[Task], reward: Reward
) -> tuple[Rollout, ...]:
    """Mark the best edit of each task, if it beats the base.

    A passage that no question asks about cannot be measured: its first usable edit is kept untested.
    """
    bases = {evaluation.task_id: evaluation for evaluation in before}
    kept: set[str] = set()
    for task in tasks:
        own = [rollout for rollout in rollouts if rollout.edit.task_id == task.id]
        base = bases[task.id]
        tested = [(rollout, rollout.after) for rollout in own if rollout.after is not None]
        untested = [rollout for rollout in own if rollout.failure == "no question asks about this passage"]
        if tested:
            # With a handful of questions most edits tie; then the one that makes the gold answers likelier is better.
            scores = [(reward.value(task, r.edit, base, after), after.gold_logprob) for r, after in tested]
            best = max(range(len(tested)), key=scores.__getitem__)
            edit = tested[best][0].edit
            if scores[best] > (reward.value(task, edit, base, base), base.gold_logprob):
                kept.add(edit.id)
        elif untested:
            kept.add(untested[0].edit.id)
    return tuple(replace(rollout, kept=rollout.edit.id in kept) for rollout in rollouts)


def _worth(evaluation: Evaluation) -> tuple[float, float]:
    return evaluation.accuracy, evaluation.gold_logprob


def _all_answers(evaluations: Sequence[Evaluation]) -> Evaluation:
    answers = tuple(answer for evaluation in evaluations for answer in evaluation.answers)
    return Evaluation("all", evaluations[0].grader if evaluations else "", answers)
