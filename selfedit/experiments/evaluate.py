"""`selfedit eval`: the paper's comparisons without training a policy, in three regimes.

- single: an adapter for each passage, asked about it;
- many: one adapter on many passages at once, asked about all of them (continued pretraining in the paper);
- sequential: passages one after another, each merged before the next; all passages so far are asked after each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from selfedit.experiments.compare import Comparison
from selfedit.experiments.config import TrainConfig
from selfedit.experiments.stages import OuterStages
from selfedit.experiments.trials import Trial, fingerprint
from selfedit.files.peft_folder import load_adapter, save_adapter
from selfedit.multilora.merge import merged
from selfedit.policies.base import Policy
from selfedit.progress import Progress
from selfedit.search.training import train_one
from selfedit.store import Journal
from selfedit.types import Adapter, Evaluation, Example, Hyperparameters, Recipe, SelfEdit, Task


class EvalRun:
    """Runs every condition in every regime; what is recorded is not done again.

    Args:
        files: policies that are files, by name.
        policies: the policies of a training run by the number of their round, in order.
    """

    def __init__(
        self,
        stages: OuterStages,
        config: TrainConfig,
        folder: Path,
        journal: Journal,
        progress: Progress,
        files: Mapping[str, Policy],
        policies: Mapping[int, Adapter] = MappingProxyType({}),
    ) -> None:
        self._stages, self._config, self._folder = stages, config, folder
        self._journal, self._progress = journal, progress
        self._files = {f"from-{name}": policy for name, policy in files.items()}
        self._policies, self._rounds = tuple(policies.values()), tuple(policies)
        self._compare = Comparison(stages, config, journal, progress)

    def run(self, tasks: Sequence[Task]) -> None:
        """All regimes that are asked for."""
        self._journal.put("tasks", "v", tuple(tasks))
        regimes = self._config.evaluation.regimes
        if "single" in regimes:
            self._compare.baselines(tasks)
            for key, rounds in self._writers().items():
                edits = self._edits(key, key, tasks, self._policies[:rounds])
                with merged(self._stages.base.model, self._inner_base(rounds)):
                    self._compare.adapted(key, tasks, edits)
        if "many" in regimes:
            for count in self._config.evaluation.many:
                key, part = f"many{count}", tasks[:count]
                self._compare.unadapted(f"{key}-base", part)
                for source, rounds in self._sources().items():
                    self._many(f"{key}-{source}", source, rounds, part)
        if "sequential" in regimes:
            length = self._config.evaluation.sequence
            for index in range(self._config.evaluation.sequences):
                key, part = f"sequence{index}", tasks[index * length : (index + 1) * length]
                self._compare.unadapted(f"{key}-base", part)
                for source, rounds in self._sources().items():
                    self._sequence(f"{key}-{source}", source, rounds, part)

    def _writers(self) -> dict[str, int]:
        """Who writes edits: a key, and how many policies are merged (0 for files and the base model)."""
        wanted = self._config.evaluation.conditions
        writers = {"v0": 0} if "own" in wanted else {}
        writers |= dict.fromkeys(self._files, 0)
        if "policy" in wanted:
            writers |= {f"policy-r{number}": rounds for rounds, number in enumerate(self._rounds, 1)}
        return writers

    def _sources(self) -> dict[str, int]:
        """What is trained on where passages share a model: the passages alone, and what is written about them."""
        alone = {"passage": 0} if "passage" in self._config.evaluation.conditions else {}
        return alone | self._writers()

    def _inner_base(self, rounds: int) -> Sequence[Adapter]:
        return self._policies[:rounds] if self._config.outer.inner_from == "policy" else ()

    def _edits(self, key: str, source: str, tasks: Sequence[Task], policies: Sequence[Adapter]) -> Sequence[SelfEdit]:
        """The edits that a source writes about the tasks, with policies merged; recorded under `key`."""
        if source == "passage":
            return self._compare.passages_alone(tasks)
        writer = self._files.get(source, self._stages.writer)
        return self._compare.edits(key, tasks, self._config.evaluation.edits, writer, policies)

    def _many(self, key: str, source: str, rounds: int, tasks: Sequence[Task]) -> None:
        """One adapter on all passages; each passage's answers are a trial of its own."""
        if self._journal.get("trials", f"{key}.0", tuple[Trial, ...]) is not None:
            return
        training, seed = self._config.evaluation.many_training.hyperparameters(), self._config.seed
        edits = self._edits(f"{key}-edits", source, tasks, self._policies[:rounds])
        with merged(self._stages.base.model, self._inner_base(rounds)):
            examples = self._examples(key, tasks, edits, training)
            if not examples:
                failed = (Trial(key, task.id, seed, failure="no edit could be used") for task in tasks)
                self._journal.put("trials", f"{key}.0", tuple(failed))
                return
            adapter = self._train(Recipe(key, examples, training, seed), "evaluation.many_training")
            evaluations = self._stages.evaluator.evaluate([(task, key) for task in tasks], {key: adapter})
        sha256 = fingerprint(adapter)
        trials = tuple(Trial(key, after.task_id, seed, sha256, adapter.losses, after) for after in evaluations)
        self._journal.put("trials", f"{key}.0", trials)

    def _examples(
        self, key: str, tasks: Sequence[Task], edits: Sequence[SelfEdit], hyperparameters: Hyperparameters
    ) -> tuple[Example, ...]:
        """What all passages' edits teach; those passages without a usable one are recorded under `key`."""
        found: dict[Example, None] = {}
        unusable = []
        for task in tasks:
            own = [edit for edit in edits if edit.task_id == task.id]
            recipes = [r for edit in own if (r := self._recipe(task, edit, hyperparameters)) is not None]
            if not recipes:
                unusable.append(task.id)
            for recipe in recipes:
                found |= dict.fromkeys(recipe.examples)
        self._journal.put("unusable", key, unusable)
        return tuple(found)

    def _recipe(self, task: Task, edit: SelfEdit, hyperparameters: Hyperparameters) -> Recipe | None:
        """None for an edit that cannot be used."""
        try:
            return self._stages.domain.recipe(task, edit, hyperparameters, self._config.seed)
        except ValueError:
            return None

    def _sequence(self, key: str, source: str, rounds: int, tasks: Sequence[Task]) -> None:
        """The lower-triangular matrix of one sequence: row i is asked after passage i was merged."""
        names = [f"{key}-{place}" for place in range(len(tasks))]
        rows = [self._journal.get("sequence", name, tuple[Evaluation, ...]) for name in names]
        if None not in rows:
            return
        base = self._inner_base(rounds)
        # The policy writes as the model then is: on top of what it has learnt so far.
        policies = self._policies[:rounds] if not base else ()
        with merged(self._stages.base.model, base) as merge:
            for place, (name, task) in enumerate(zip(names, tasks, strict=True)):
                adapter = self._learnt(name, source, task, policies)
                if adapter is not None:
                    merge(adapter)
                if rows[place] is None:
                    row = self._stages.evaluator.evaluate([(seen, None) for seen in tasks[: place + 1]])
                    self._journal.put("sequence", name, tuple(row))

    def _learnt(self, name: str, source: str, task: Task, policies: Sequence[Adapter]) -> Adapter | None:
        """An adapter on the passage's edits, from the run's folder where it was learnt before; None without any.

        What full finetuning leaves is as large as the model; it is not kept, and an interrupted sequence learns again.
        """
        folder = self._folder / "sequences" / name
        full = self._config.inner.full
        recorded = self._journal.get("sequence-adapter", name, str)
        if recorded is not None and (not recorded or not full):
            return load_adapter(folder) if recorded else None
        training = self._config.inner.hyperparameters()
        examples = self._examples(name, [task], self._edits(name, source, [task], policies), training)
        adapter = self._train(Recipe(name, examples, training, self._config.seed), "inner") if examples else None
        if adapter is not None and not full:
            folder.mkdir(parents=True, exist_ok=True)
            save_adapter(adapter, folder, self._stages.base.name, self._stages.base.has_conv1d)
        if recorded is None:
            self._journal.put("sequence-adapter", name, fingerprint(adapter) if adapter is not None else "")
        return adapter

    def _train(self, recipe: Recipe, settings: str) -> Adapter:
        label = f"Training {recipe.id}"
        return train_one(self._stages.inner, recipe, label, self._progress, f"{settings}.learning_rate")
