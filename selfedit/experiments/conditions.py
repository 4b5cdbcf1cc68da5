"""Conditions: the same tasks, questions and seeds, asked of models that learnt in different ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from selfedit.experiments.config import TrainConfig
from selfedit.experiments.runs.stages import Source, Stage, single
from selfedit.files.journal import Journal
from selfedit.policies.base import Policy
from selfedit.progress import Progress
from selfedit.search.stages import Stages
from selfedit.search.step import Search
from selfedit.seeds import derive_seed, training_seeds
from selfedit.types import Evaluation, Model, SelfEdit, Task, Trial


class Conditions:
    """Each condition is recorded as soon as it is done.

    Attributes:
        search: the search step, over the run's records.
    """

    def __init__(self, stages: Stages, config: TrainConfig, journal: Journal, progress: Progress) -> None:
        self._config = config
        self.search = Search(stages, journal, progress, config.chunk)

    def baselines(self, tasks: Sequence[Task], base: Model) -> None:
        """The conditions that need no policy, as far as they are asked for; no update is what all are held against."""
        conditions = self._config.evaluation.conditions
        self.unadapted(single("base"), tasks, base)
        if "in-context" in conditions:
            self.unadapted(single("in-context"), tasks, base, with_context=True)
        if "passage" in conditions:
            self.adapted(single("passage"), tasks, self.passages_alone(tasks), base)

    def passages_alone(self, tasks: Sequence[Task]) -> list[SelfEdit]:
        """Edits that add nothing to the passages: what training on them alone is."""
        seed = self._config.seed
        return [SelfEdit(f"passage.{t.id}", t.id, "none", "", "", derive_seed(seed, t.id, 0)) for t in tasks]

    def unadapted(
        self, stage: Stage, tasks: Sequence[Task], model: Model, *, with_context: bool = False
    ) -> tuple[Evaluation, ...]:
        """The probes asked of a model as it is."""
        label = f"Asking without update, {stage}"
        return self.search.evaluate_base(str(stage), tasks, model, label, with_context=with_context)

    def edits(
        self, stage: Stage, tasks: Sequence[Task], model: Model, count: int | None = None, writer: Policy | None = None
    ) -> list[SelfEdit]:
        """`count` self-edits a task, as many as the evaluation has if None, by the policy or another writer.

        Policies of different rounds write about the same tasks with the same seeds, so that they can be paired.
        """
        count = self._config.evaluation.edits if count is None else count
        alike = stage if stage.source is None else replace(stage, source=Source("validation"))
        seed = derive_seed(self._config.seed, alike.edits, 0)
        return self.search.propose(stage.edits, tasks, count, model, seed, writer)

    def adapted(self, stage: Stage, tasks: Sequence[Task], edits: Sequence[SelfEdit], model: Model) -> list[Trial]:
        """The probes asked of adapters, each trained on one edit with one seed."""
        seeds = training_seeds(self._config.seed, self._config.evaluation.training_seeds)
        training = self._config.inner.hyperparameters()
        return self.search.evaluate_edits(str(stage), tasks, edits, model, training, seeds, f"Adapters, {stage}")
