"""`selfedit eval`: the paper's comparisons without training a policy, in three regimes.

- single: an adapter for each passage, asked about it;
- many: one adapter on many passages at once, asked about all of them (continued pretraining in the paper);
- sequential: passages one after another, each merged before the next; all passages so far are asked after each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from selfedit.multilora.merge import merged
from selfedit.outer.compare import Comparison
from selfedit.outer.config import TrainConfig
from selfedit.outer.stages import OuterStages
from selfedit.outer.trials import Trial, fingerprint
from selfedit.policies.base import Policy
from selfedit.progress import Progress
from selfedit.store import Journal
from selfedit.store.peft_folder import load_adapter, save_adapter
from selfedit.training import train_one
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
            for key, rounds in self._sources().items():
                edits = self._edits(key, key, tasks, rounds)
                with merged(self._stages.base.model, self._inner_base(rounds)):
                    self._compare.adapted(key, tasks, edits)
        if "many" in regimes:
            for count in self._config.evaluation.many:
                self._many(tasks[:count])
        if "sequential" in regimes:
            length = self._config.evaluation.sequence
            for index in range(self._config.evaluation.sequences):
                self._sequence(index, tasks[index * length : (index + 1) * length])

    def _sources(self) -> dict[str, int]:
        """Who writes edits: a key, and how many policies are merged (0 for files and the base model)."""
        wanted = self._config.evaluation.conditions
        sources = {"v0": 0} if "own" in wanted else {}
        sources |= dict.fromkeys(self._files, 0)
        if "policy" in wanted:
            sources |= {f"policy-r{number}": merged for merged, number in enumerate(self._rounds, 1)}
        return sources

    def _inner_base(self, rounds: int) -> Sequence[Adapter]:
        return self._policies[:rounds] if self._config.outer.inner_from == "policy" else ()

    def _edits(self, key: str, source: str, tasks: Sequence[Task], rounds: int) -> tuple[SelfEdit, ...]:
        """The edits that a source writes about the tasks, recorded under `key`."""
        writer = self._files.get(source, self._stages.writer)
        return self._compare.edits(key, tasks, self._config.evaluation.edits, writer, self._policies[:rounds])

    def _many(self, tasks: Sequence[Task]) -> None:
        """One adapter a source on all passages; each passage's answers are a trial of its own."""
        count = len(tasks)
        hyperparameters = self._config.evaluation.many_training.hyperparameters()
        self._compare.unadapted(f"many{count}-base", tasks)
        for source, rounds in {"passage": 0, **self._sources()}.items():
            key = f"many{count}-{source}"
            if self._journal.get("trials", f"{key}.0", tuple[Trial, ...]) is not None:
                continue
            edits = () if source == "passage" else self._edits(f"{key}-edits", source, tasks, rounds)
            with merged(self._stages.base.model, self._inner_base(rounds)):
                examples = self._examples(tasks, edits, hyperparameters)
                adapter = self._train(
                    Recipe(key, examples, hyperparameters, self._config.seed), "evaluation.many_training"
                )
                evaluations = self._stages.evaluator.evaluate([(task, key) for task in tasks], {key: adapter})
            sha256 = fingerprint(adapter)
            trials = tuple(
                Trial(key, evaluation.task_id, self._config.seed, sha256, adapter.losses, evaluation)
                for evaluation in evaluations
            )
            self._journal.put("trials", f"{key}.0", trials)

    def _examples(
        self, tasks: Sequence[Task], edits: Sequence[SelfEdit], hyperparameters: Hyperparameters
    ) -> tuple[Example, ...]:
        """What all passages' edits teach; the passage alone where it has no usable one."""
        found: dict[Example, None] = {}
        for task in tasks:
            alone = SelfEdit("", task.id, "none", "", "", 0)
            own = [edit for edit in edits if edit.task_id == task.id]
            recipes = [r for edit in own if (r := self._recipe(task, edit, hyperparameters)) is not None]
            for recipe in recipes or [self._stages.domain.recipe(task, alone, hyperparameters, self._config.seed)]:
                found |= dict.fromkeys(recipe.examples)
        return tuple(found)

    def _recipe(self, task: Task, edit: SelfEdit, hyperparameters: Hyperparameters) -> Recipe | None:
        """None for an edit that cannot be used."""
        try:
            return self._stages.domain.recipe(task, edit, hyperparameters, self._config.seed)
        except ValueError:
            return None

    def _sequence(self, index: int, tasks: Sequence[Task]) -> None:
        """The lower-triangular matrix of one sequence: row i is asked after passage i was merged."""
        self._compare.unadapted(f"sequence{index}-base", tasks)
        names = [f"sequence{index}-{place}" for place in range(len(tasks))]
        rows = [self._journal.get("sequence", name, tuple[Evaluation, ...]) for name in names]
        if None not in rows:
            return
        with merged(self._stages.base.model) as merge:
            for place, (name, task) in enumerate(zip(names, tasks, strict=True)):
                merge(self._learnt(name, task))
                if rows[place] is None:
                    row = self._stages.evaluator.evaluate([(seen, None) for seen in tasks[: place + 1]])
                    self._journal.put("sequence", name, tuple(row))

    def _learnt(self, name: str, task: Task) -> Adapter:
        """An adapter on the passage's edit, from the run's folder where it was learnt before.

        What full finetuning leaves is as large as the model; it is not kept, and an interrupted sequence learns again.
        """
        folder = self._folder / "sequences" / name
        recorded = self._journal.get("sequence-adapter", name, str) is not None
        if recorded and not self._config.inner.full:
            return load_adapter(folder)
        adapter = self._learn_one(name, task)
        if not self._config.inner.full:
            folder.mkdir(parents=True, exist_ok=True)
            save_adapter(adapter, folder, self._stages.base.name, self._stages.base.has_conv1d)
        if not recorded:
            self._journal.put("sequence-adapter", name, fingerprint(adapter))
        return adapter

    def _learn_one(self, name: str, task: Task) -> Adapter:
        """An adapter on the passage's edit, written by the model as it then is."""
        edits = self._stages.writer.propose([task], 1, self._config.seed)
        hyperparameters = self._config.inner.hyperparameters()
        examples = self._examples([task], edits, hyperparameters)
        return self._train(Recipe(name, examples, hyperparameters, self._config.seed), "inner")

    def _train(self, recipe: Recipe, settings: str) -> Adapter:
        label = f"Training {recipe.id}"
        return train_one(self._stages.inner, recipe, label, self._progress, f"{settings}.learning_rate")
