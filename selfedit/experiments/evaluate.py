"""`selfedit eval`: the paper's comparisons without training a policy, in three regimes.

- single: an adapter for each passage, asked about it;
- many: one adapter on many passages at once, asked about all of them (continued pretraining in the paper);
- sequential: passages one after another, by a memory (the paper's merges); all so far are asked after each.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from selfedit.experiments.conditions import Conditions
from selfedit.experiments.config import TrainConfig
from selfedit.experiments.groups import EvaluationSettings
from selfedit.experiments.runs.stages import Source, Stage
from selfedit.experiments.sequence import SequenceAdapters
from selfedit.files.hashing import update_sha256
from selfedit.files.journal import Journal, Unrecorded
from selfedit.policies.base import Policy
from selfedit.progress import Progress
from selfedit.search.exam import Exam
from selfedit.search.keys import RecordKey
from selfedit.search.stages import Stages
from selfedit.seeds import training_seeds
from selfedit.types import (
    Adapter,
    Evaluation,
    Example,
    Hyperparameters,
    Knowledge,
    Model,
    Recipe,
    SelfEdit,
    Task,
    Trial,
    Update,
)


class EvalRun:
    """Runs every condition in every regime; what is recorded is not done again.

    Args:
        base: the model that everything begins with.
        files: policies that are files, by name.
        policies: of a training run, by the number of their round: each with those that it lies on before it.
    """

    def __init__(
        self,
        stages: Stages,
        config: TrainConfig,
        base: Model,
        folder: Path,
        journal: Journal,
        progress: Progress,
        files: Mapping[str, Policy],
        policies: Mapping[int, tuple[Adapter, ...]] = MappingProxyType({}),
    ) -> None:
        self._stages, self._config, self._base, self._folder, self._journal = stages, config, base, folder, journal
        self._files, self._policies, self._progress = files, policies, progress
        self._conditions = Conditions(stages, config, journal, progress)
        self._search = self._conditions.search

    def run(self, tasks: Sequence[Task]) -> None:
        """All regimes that are asked for."""
        self._journal.put("tasks", "v", tuple(tasks))
        evaluation = self._config.evaluation
        if "single" in evaluation.regimes:
            self._conditions.baselines(tasks, self._base)
            for source in self._writers():
                stage = Stage("single", source)
                self._conditions.adapted(stage, tasks, self._edits(stage, tasks), self._inner_model(source))
        if "many" in evaluation.regimes:
            for count in evaluation.many:
                self._conditions.unadapted(Stage("many", Source("base"), count), tasks[:count], self._base)
                for source in self._sources():
                    self._many(Stage("many", source, count), tasks[:count])
        if "sequential" in evaluation.regimes:
            for index, part in enumerate(sequences_of(tasks, evaluation)):
                self._conditions.unadapted(Stage("sequential", Source("base"), index), part, self._base)
                for source in self._sources():
                    self._sequence(Stage("sequential", source, index), part)

    def _writers(self) -> list[Source]:
        """Who writes edits."""
        conditions = self._config.evaluation.conditions
        writers = [Source("validation")] if "own" in conditions else []
        writers += [Source("file", name=name) for name in self._files]
        if "policy" in conditions:
            writers += [Source("policy", number) for number in self._policies]
        return writers

    def _sources(self) -> list[Source]:
        """What is trained on where passages share a model: the passages alone, and what is written about them."""
        alone = [Source("passage")] if "passage" in self._config.evaluation.conditions else []
        return alone + self._writers()

    def _policy_updates(self, source: Source) -> tuple[Update, ...]:
        """The source's policy with those that it lies on; none for files and the base model."""
        return self._policies[source.number] if source.kind == "policy" else ()

    def _inner_model(self, source: Source) -> Model:
        """What adapters are trained on."""
        updates = self._policy_updates(source) if self._config.outer.inner_from == "policy" else ()
        return self._base.merge(*updates)

    def _edits(self, stage: Stage, tasks: Sequence[Task], model: Model | None = None) -> list[SelfEdit]:
        """The edits that a stage's source writes about the tasks, as the base with its policies or as another model."""
        assert stage.source is not None
        if stage.source.kind == "passage":
            return self._conditions.passages_alone(tasks)
        model = model or self._base.merge(*self._policy_updates(stage.source))
        writer = self._files[stage.source.name] if stage.source.kind == "file" else None
        return self._conditions.edits(stage, tasks, model, writer=writer)

    def _many(self, stage: Stage, tasks: Sequence[Task]) -> None:
        """On all passages one adapter a training seed, each a chunk of its own; its answers are a trial a passage."""
        name, training = str(stage), self._config.evaluation.many_training.hyperparameters()
        count = self._config.evaluation.training_seeds
        # A single one is the run's own, as it was before there could be several.
        seeds = training_seeds(self._config.seed, count) if count > 1 else (self._config.seed,)
        keys = [RecordKey("trials", name, chunk=number) for number in range(len(seeds))]
        if all(self._journal.get(key.kind, str(key), tuple[Trial, ...]) is not None for key in keys):
            return
        examples = self._examples(name, tasks, self._edits(stage, tasks), training)
        for key, seed in zip(keys, seeds, strict=True):
            if self._journal.get(key.kind, str(key), tuple[Trial, ...]) is None:
                self._journal.put(
                    key.kind, str(key), self._together(stage, tasks, Recipe(name, examples, training, seed))
                )
                self._search.done_with(name)

    def _together(self, stage: Stage, tasks: Sequence[Task], recipe: Recipe) -> tuple[Trial, ...]:
        """Train one adapter, and ask it about every passage."""
        if not recipe.examples:
            return tuple(Trial(recipe.id, task.id, recipe.seed, failure="no edit could be used") for task in tasks)
        assert stage.source is not None
        model = self._inner_model(stage.source)
        update = self._train(recipe, model, "evaluation.many_training")
        learnt, sha256 = model.with_update(update), update_sha256(update)
        asked = self._stages.evaluator.evaluate([(task, learnt) for task in tasks])
        return tuple(Trial(recipe.id, after.task_id, recipe.seed, sha256, update.losses, after) for after in asked)

    def _examples(
        self, name: str, tasks: Sequence[Task], edits: Sequence[SelfEdit], hyperparameters: Hyperparameters
    ) -> tuple[Example, ...]:
        """What all passages' edits teach; those passages without a usable one are recorded under `name`."""
        unique = not self._config.evaluation.keep_repeats
        joined = self._search.join(tasks, edits, hyperparameters, self._config.seed, unique=unique)
        self._journal.put("unusable", name, joined.unusable)
        return joined.examples

    def _sequence(self, sequence: Stage, tasks: Sequence[Task]) -> None:
        """The lower-triangular matrix of one sequence: row i is asked after passage i was learnt.

        Old and new live together by the same memories as in `learn`.
        """
        assert sequence.source is not None
        stages = [replace(sequence, place=place) for place in range(len(tasks))]
        rows = [self._journal.get("sequence", str(stage), tuple[Evaluation, ...]) for stage in stages]
        if None not in rows:
            return
        base = self._inner_model(sequence.source)
        adapters = SequenceAdapters(self._folder, self._journal, self._search, base, self._config)
        exam = Exam(self._stages.evaluator, Unrecorded(), self._progress)
        knowledge = Knowledge(self._config.evaluation.memory)
        # The policy writes as the model then is: on top of what it has learnt so far.
        policies = self._policy_updates(sequence.source) if self._config.outer.inner_from == "base" else ()
        for place, (stage, task) in enumerate(zip(stages, tasks, strict=True)):
            writer = adapters.recall(knowledge).unrouted
            edits = self._edits(stage, [task], replace(writer, merged=(*writer.merged, *policies)))
            training = self._config.inner.hyperparameters()
            examples = self._examples(str(stage), [task], edits, training)
            knowledge = adapters.learn(knowledge, str(stage), task, edits, examples)
            if rows[place] is None:
                row = exam.evaluate(adapters.recall(knowledge), tasks[: place + 1], f"Asking, {stage}")
                self._journal.put("sequence", str(stage), row)

    def _train(self, recipe: Recipe, model: Model, settings: str) -> Update:
        return self._search.train(recipe, model, f"Training {recipe.id}", f"{settings}.learning_rate")


def sequences_of(tasks: Sequence[Task], evaluation: EvaluationSettings) -> list[Sequence[Task]]:
    """The passages of each sequence: one after another as they stand, or drawn as the paper's official code draws them.

    With a seed, each of its sequences is drawn from all passages, without repeats; two sequences may share some.
    """
    size, seeds = evaluation.sequence, evaluation.sequence_seeds
    if seeds is None:
        return [tasks[index * size : (index + 1) * size] for index in range(evaluation.sequences)]
    drawn: list[Sequence[Task]] = []
    for seed in seeds:
        draw = random.Random(seed)
        drawn += [draw.sample(list(tasks), size) for _ in range(evaluation.sequences // len(seeds))]
    return drawn
