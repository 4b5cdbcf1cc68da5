"""The paper's comparisons on the same passages, questions and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from selfedit.experiments.config import TrainConfig
from selfedit.experiments.stages import OuterStages
from selfedit.experiments.trials import Trial, Trials, make_jobs
from selfedit.multilora.merge import merged
from selfedit.policies.base import Policy, edit_seed
from selfedit.progress import Progress
from selfedit.store import Journal
from selfedit.types import Adapter, Evaluation, SelfEdit, Task


class Comparison:
    """Asks the same probes under several conditions, each recorded as soon as it is done."""

    def __init__(self, stages: OuterStages, config: TrainConfig, journal: Journal, progress: Progress) -> None:
        self._stages, self._journal, self._progress = stages, journal, progress
        self._settings, self._seed = config.evaluation, config.seed
        # What full finetuning leaves is a whole model: no two are held at once.
        chunk = 1 if config.inner.full else 2 * config.engine.slots
        self.trials = Trials(
            stages.domain, stages.inner, stages.evaluator, config.inner.hyperparameters(), chunk, journal, progress
        )

    def baselines(self, tasks: Sequence[Task]) -> None:
        """The conditions that need no policy, as far as they are asked for; no update is what all are held against."""
        wanted = self._settings.conditions
        self.unadapted("base", tasks)
        if "in-context" in wanted:
            self.unadapted("in-context", tasks, with_context=True)
        if "passage" in wanted:
            self.adapted("passage", tasks, self.passages_alone(tasks))

    def passages_alone(self, tasks: Sequence[Task]) -> list[SelfEdit]:
        """Edits that add nothing to the passages: what training on them alone is."""
        return [SelfEdit(f"passage.{t.id}", t.id, "none", "", "", edit_seed(self._seed, t.id, 0)) for t in tasks]

    def unadapted(self, key: str, tasks: Sequence[Task], with_context: bool = False) -> tuple[Evaluation, ...]:
        """The probes asked of the model as it is."""
        saved = self._journal.get("before", key, tuple[Evaluation, ...])
        if saved is None:
            questions = sum(len(task.probes) for task in tasks)
            with self._progress.bar(f"Asking without update, {key}", questions, "questions") as bar:
                pairs: list[tuple[Task, str | None]] = [(task, None) for task in tasks]
                saved = tuple(self._stages.evaluator.evaluate(pairs, None, bar.advance, with_context))
            self._journal.put("before", key, saved)
        return saved

    def edits(
        self, key: str, tasks: Sequence[Task], count: int, writer: Policy, policies: Sequence[Adapter] = ()
    ) -> tuple[SelfEdit, ...]:
        """`count` self-edits a task by a writer, with policies merged into the model; recorded under `key`."""
        saved = self._journal.get("edits", key, tuple[SelfEdit, ...])
        if saved is None:
            with (
                merged(self._stages.base.model, policies),
                self._progress.bar(f"Writing self-edits, {key}", len(tasks) * count, "edits") as bar,
            ):
                written = writer.propose(tasks, count, edit_seed(self._seed, key, 0), lambda _: bar.advance())
            # An id is unique in the run, whatever round and passage it is from.
            saved = tuple(replace(edit, id=f"{key}.{edit.id}") for edit in written)
            self._journal.put("edits", key, saved)
        return saved

    def adapted(self, key: str, tasks: Sequence[Task], edits: Sequence[SelfEdit]) -> list[Trial]:
        """The probes asked of adapters, each trained on one edit with one seed."""
        jobs = make_jobs(tasks, edits, self._settings.training_seeds, self._seed)
        return self.trials.run(key, f"Adapters, {key}", jobs)
