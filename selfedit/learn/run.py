"""`learn`: one turn of the search with the policy fixed, on documents, ending in a version.

tasks -> write edits -> train and ask one adapter an edit -> keep the best -> train one on all -> gate -> Store
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from selfedit.gates import GateCase, first_reason, make_gate
from selfedit.learn.config import LearnConfig
from selfedit.learn.prepare import Material
from selfedit.policies.questions import QuestionWriter
from selfedit.progress import Progress
from selfedit.release_0_1 import upgrade_learn_journal
from selfedit.runtime import software_versions
from selfedit.search.selection import Selection, make_groups, rank, select
from selfedit.search.stages import Stages
from selfedit.search.step import UNASKED, Search
from selfedit.search.training import DivergedError
from selfedit.store import Journal, Store
from selfedit.types import Adapter, Evaluation, Group, Model, ProbeSource, Recipe, Rollout, SelfEdit, Task, Version

_ALL = "all"
"""The only stage of a run of `learn`."""

_UNASKED = "there is no question to measure it by; give some with --questions"


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

    Each finished piece (questions, a task's self-edits, an evaluation) is in the journal before the next begins.
    """

    def __init__(
        self, stages: Stages, store: Store, journal: Journal, base: Model, config: LearnConfig, progress: Progress
    ) -> None:
        self._stages, self._store, self._journal = stages, store, journal
        self._base, self._config, self._progress = base, config, progress
        self._gates = [make_gate(name) for name in config.gates]
        # Two rounds of slots a chunk: enough to refill them, few enough to lose little work when killed.
        self._search = Search(stages, journal, progress, 2 * config.slots)
        upgrade_learn_journal(journal, config.seed)

    def run(self, material: Material) -> LearnResult:
        """Learn the material and commit a version, unless nothing in it makes the model better."""
        with self._timed():
            tasks, source, dropped = self._with_probes(material)
            if not any(task.probes for task in tasks):
                unasked = tuple(Evaluation(task.id, "none", ()) for task in tasks)
                return LearnResult(None, _UNASKED, tasks, (), source, dropped, unasked, (), self._seconds)
            rollouts, before = self._search_edits(tasks)
            adapter, failure = self._train_final(tasks, rollouts)
            after: tuple[Evaluation, ...] = ()
            reason: str | None = failure
            if adapter is not None:
                model = self._base.with_update(adapter)
                after = self._search.evaluate_update(_ALL, tasks, model, "Asking the version")
                reason = self._gate(tasks, before, after)
        result = LearnResult(None, reason or "", tasks, rollouts, source, dropped, before, after, self._seconds)
        if reason or adapter is None:
            return result
        return replace(result, version=self._commit(material, result, adapter))

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Counts the time of this invocation with that of those before it that were interrupted."""
        self._spent, self._started = self._journal.get("seconds", _ALL, float) or 0.0, time.monotonic()
        try:
            yield
        finally:
            self._journal.put("seconds", _ALL, self._seconds)

    @property
    def _seconds(self) -> float:
        return self._spent + time.monotonic() - self._started

    def _with_probes(self, material: Material) -> tuple[tuple[Task, ...], ProbeSource, int]:
        """The tasks with probes: those that came with them, or else those that the model writes."""
        if material.probe_source is not None:
            return material.tasks, material.probe_source, 0
        saved = self._journal.get("questions", _ALL, tuple[tuple[Task, ...], int])
        if saved is None:
            writer = QuestionWriter(self._stages.generator, self._stages.prompter)
            with self._progress.bar("Writing questions", len(material.tasks), "passages") as bar:
                probes, dropped = writer.write(
                    material.tasks, self._config.questions_per_passage, self._config.seed, self._base
                )
                bar.advance(len(material.tasks))
            saved = (tuple(replace(task, probes=probes[task.id]) for task in material.tasks), dropped)
            self._journal.put("questions", _ALL, saved)
        return saved[0], "model", saved[1]

    def _search_edits(self, tasks: Sequence[Task]) -> tuple[tuple[Rollout, ...], tuple[Evaluation, ...]]:
        """Every edit with what became of it, and what the base answered."""
        config = self._config
        edits = self._search.propose("", tasks, config.edits, self._base, config.seed, finish=self._with_one_usable)
        before = self._search.evaluate_base(_ALL, tasks, self._base, "Asking the base model")
        training = config.edit_training.hyperparameters()
        if self._stages.reward.needs_training:
            seeds = (config.seed,)
            trials = self._search.evaluate_edits(_ALL, tasks, edits, self._base, training, seeds, "Training edits")
        else:
            trials = self._search.check_edits(_ALL, tasks, edits, training, config.seed)
        groups = [
            self._with_untested(select(rank(group, self._stages.reward), Selection()))
            for group in make_groups(tasks, edits, trials, before)
        ]
        by_id = {rollout.edit.id: rollout for group in groups for rollout in group.rollouts}
        return tuple(by_id[edit.id] for edit in edits), before

    def _with_one_usable(self, task: Task, edits: list[SelfEdit]) -> list[SelfEdit]:
        """Where nothing usable was written about a passage, training on its text is tried."""
        training = self._config.edit_training.hyperparameters()
        if any(self._stages.domain.is_usable(task, edit, training) for edit in edits):
            return edits
        return [*edits, SelfEdit(f"{task.id}.passage", task.id, "none", "", "", self._config.seed)]

    def _with_untested(self, group: Group) -> Group:
        """A passage that no question asks about cannot be measured: its first usable edit is kept if the user says."""
        untested = [rollout.edit.id for rollout in group.rollouts if rollout.failure == UNASKED][:1]
        if not self._config.keep_untested or not untested:
            return group
        rollouts = tuple(replace(r, kept=r.kept or r.edit.id in untested) for r in group.rollouts)
        return replace(group, rollouts=rollouts)

    def _train_final(self, tasks: Sequence[Task], rollouts: Sequence[Rollout]) -> tuple[Adapter | None, str]:
        """One adapter on all kept edits together, or why there is none."""
        hyperparameters = self._config.final_training.hyperparameters()
        kept = [rollout.edit for rollout in rollouts if rollout.kept]
        if not kept:
            usable = sum(bool(rollout.afters) for rollout in rollouts)
            return None, f"none of the {len(rollouts)} self-edits ({usable} of them usable) beat the base model"
        examples = self._search.join(tasks, kept, hyperparameters, self._config.seed).examples
        recipe = Recipe("final", examples, hyperparameters, self._config.seed)
        try:
            adapter = self._search.train(recipe, self._base, "Training the version", "final_training.learning_rate")
        except DivergedError:
            return None, "training the final adapter diverged; a lower learning rate may help"
        assert isinstance(adapter, Adapter)  # `LearnConfig` refuses full finetuning.
        return adapter, ""

    def _gate(self, tasks: Sequence[Task], before: tuple[Evaluation, ...], after: tuple[Evaluation, ...]) -> str | None:
        """Why the version must not be committed."""
        reward = self._stages.reward
        worths = (reward.overall(tasks, before, before), reward.overall(tasks, before, after))
        what = "the adapter trained on all kept self-edits"
        return first_reason(self._gates, GateCase(before, after, *worths, what=what, than="the base model"))

    def _commit(self, material: Material, result: LearnResult, adapter: Adapter) -> Version:
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
            base=self._base.base,
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
        return self._store.commit(version, adapter)
