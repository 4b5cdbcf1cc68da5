"""What a sequence of passages teaches, one after another, in a run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from selfedit.experiments.config import TrainConfig
from selfedit.experiments.runs.policy_folders import load_checked
from selfedit.files.hashing import update_sha256
from selfedit.files.journal import Journal
from selfedit.files.peft_folder import save_adapter
from selfedit.memory import Means, load_memory
from selfedit.memory.recall import Recall
from selfedit.search.step import Search
from selfedit.text.reading import sha256
from selfedit.types import Adapter, DocumentRef, Example, Knowledge, Learnt, Model, Recipe, SelfEdit, Task, Update


class SequenceAdapters:
    """Learns passages by the configured memory, and keeps each adapter where it is found again.

    What full finetuning leaves is as large as the model; it is not kept, and an interrupted sequence learns again.

    Args:
        base: what the first passage is learnt on.
    """

    def __init__(self, folder: Path, journal: Journal, search: Search, base: Model, config: TrainConfig) -> None:
        self._folder, self._journal, self._search = folder, journal, search
        self._base, self._config = base, config
        self._updates: dict[str, Update] = {}
        self._examples: dict[str, tuple[Example, ...]] = {}

    def learn(
        self, known: Knowledge, name: str, task: Task, edits: Sequence[SelfEdit], examples: tuple[Example, ...]
    ) -> Knowledge:
        """What is known after a passage; as before where its edits teach nothing.

        Args:
            name: of the stage, under which what is trained is kept.
        """
        if not examples:
            self._journal.put("sequence-adapter", name, "")
            return known
        self._examples[task.id] = examples
        document = DocumentRef(task.id, task.title, sha256(task.passage.encode()))
        new = Learnt(document, task, tuple(edits), self._config.seed)
        means = Means(
            base=self._base,
            examples=lambda item: self._examples[item.task.id],
            train=lambda recipes, model: [self._train(name, recipe, model) for recipe in recipes],
            load=self._load,
            keep=self._keep,
            hyperparameters=self._config.inner.hyperparameters(),
            replay=self._config.evaluation.replay,
        )
        return load_memory(known.memory)(means).learn(known, [new], name)

    def recall(self, known: Knowledge) -> Recall:
        """Who answers under some knowledge."""
        return Recall(known, self._base, self._load)

    def _train(self, name: str, recipe: Recipe, model: Model) -> str:
        """The hash of what a recipe makes; from the run's folder where it was made before."""
        recorded = self._journal.get("sequence-adapter", name, str)
        folder = self._folder / "sequences" / name
        if recorded and not self._config.inner.full:
            self._updates[recorded] = load_checked(folder, recorded)
            return recorded
        recipe = replace(recipe, id=name)
        update = self._search.train(recipe, model, f"Training {name}", "inner.learning_rate")
        if isinstance(update, Adapter):
            folder.mkdir(parents=True, exist_ok=True)
            save_adapter(update, folder, self._base.base.name)
        hash_ = self._keep(update)
        if recorded is None:
            self._journal.put("sequence-adapter", name, hash_)
        self._search.done_with(name)
        return hash_

    def _load(self, hash_: str) -> Update:
        return self._updates[hash_]

    def _keep(self, update: Update) -> str:
        hash_ = update_sha256(update)
        self._updates[hash_] = update
        return hash_
