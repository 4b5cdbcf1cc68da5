"""From what is to be learnt to a version: a memory trains, the gates look, and the store takes it or sets it aside."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace

from selfedit.documents.general import general_tasks, general_texts
from selfedit.domains.knowledge import KnowledgeDomain
from selfedit.files.journal import Journal
from selfedit.gates import Compared, GateCase, all_figures, first_reason, make_gate
from selfedit.inner.checkpoint import work_key
from selfedit.learn.budget import epochs_left
from selfedit.learn.config import LearnConfig
from selfedit.learn.corrections import without_corrected
from selfedit.learn.drift import measured
from selfedit.memory import Means, Memory, Same, load_memory, same_document
from selfedit.memory.recall import Recall
from selfedit.progress import Progress
from selfedit.search.drift import DriftMeter
from selfedit.search.exam import Exam, divergence
from selfedit.search.stages import Stages
from selfedit.search.step import Search
from selfedit.search.training import DIVERGED, DivergedError, is_sound
from selfedit.store import Store
from selfedit.types import (
    Adapter,
    DriftFigures,
    Evaluation,
    Example,
    GateFigure,
    Hyperparameters,
    Knowledge,
    Learnt,
    Model,
    Recipe,
    Task,
)

TRIES = 5
"""How often an update that does not pass is made weaker before it is given up."""

_REPLAYS = (2.0, 4.0)
# Where the gates ask nothing of them, the bundled questions are not asked.
_GENERAL_GATES, _TEXT_GATES = {"general"}, {"divergence"}
_DRIFT_GATE = "drift"
_NEW_GATES = {"improved", "better", "corrected"}


@dataclass(frozen=True)
class Candidate:
    """What would be known after an update, and what the gates say of it.

    Attributes:
        before, after: answers to the questions about what is new.
        reason: why it must not take effect; empty if it may.
        scale: by which the update was made weaker; 1 where it was not.
        losses: of the last adapter trained for it.
        drift: how it answers the fixed set of prompts, where that was asked for or cheap.
    """

    knowledge: Knowledge
    before: tuple[Evaluation, ...]
    after: tuple[Evaluation, ...]
    figures: tuple[GateFigure, ...]
    reason: str
    scale: float = 1.0
    losses: tuple[float, ...] = ()
    drift: tuple[DriftFigures, ...] = ()


class Updater:
    """Makes candidates on top of what a store knows. What was trained or asked once is recorded.

    Args:
        keep: the user's questions that are to stay right.
        policy: the hash of the policy, in the store, that new adapters are trained on top of; empty for the bare base.
    """

    def __init__(
        self,
        stages: Stages,
        store: Store,
        journal: Journal,
        base: Model,
        config: LearnConfig,
        progress: Progress,
        keep: tuple[Task, ...] = (),
        policy: str = "",
    ) -> None:
        self._stages, self._store, self._journal, self._base = stages, store, journal, base
        self.config, self._progress, self._keep = config, progress, keep
        self._search = Search(stages, journal, progress, 2 * config.slots)
        self._exam = Exam(stages.evaluator, journal, progress)
        assert isinstance(stages.domain, KnowledgeDomain)
        self._meter = DriftMeter(stages.generator, stages.domain.ask, base)
        self._gates = [make_gate(name) for name in config.gates]
        self._policy = policy

    def within(self, seconds: Callable[[], float], name: str, new: Sequence[Learnt]) -> Updater:
        """The same, training only as often on what is new as is done in so many seconds: how fast this machine is, is
        tried on a few examples of each. Decided once, and recorded.

        Args:
            seconds: how many are left; asked when that was tried.
            name: of the memory.
        """
        final = self.config.final(name)
        epochs = self._journal.get("epochs", name, int)
        if epochs is None:
            examples = [self._examples(item) for item in new]
            tokens = sum(len(example.tokens) for of_item in examples for example in of_item)
            rate = self._rate(examples[: self.config.slots], final.hyperparameters(), name)
            epochs = epochs_left(tokens, rate, seconds(), final.epochs)
            self._journal.put("epochs", name, epochs)
            self._progress.note(f"{tokens} tokens to train on, at {rate:.0f}/s: {epochs} epochs.")
        config = self.config.model_copy(
            update={"final_training": final.model_copy(update={"epochs": epochs}), "memory": name}
        )
        changed = copy(self)
        changed.config = config
        return changed

    def _rate(self, examples: Sequence[tuple[Example, ...]], hyperparameters: Hyperparameters, name: str) -> float:
        """Tokens a second of training, by two steps on the same examples for each of some passages."""
        few = replace(hyperparameters, epochs=2)
        size = few.batch_size
        recipes = [Recipe(f"speed{n}", part[-size:], few, 0) for n, part in enumerate(examples)]
        started = time.perf_counter()
        for _ in self._stages.inner.adapt(recipes, self.memory(name).means.base):
            pass
        return few.epochs * sum(recipe.tokens_per_epoch for recipe in recipes) / (time.perf_counter() - started)

    def memory(self, name: str, replay: float | None = None) -> Memory:
        """The memory of that name, over this store."""
        config = self.config
        base = self._base
        if self._policy:
            base = base.merge(self._store.adapters.load(self._policy))
        means = Means(
            base=base,
            policy=self._policy,
            examples=self._examples,
            train=self._train,
            load=self._store.adapters.load,
            keep=lambda adapter: self._store.put_adapter(adapter, self._base.base.name),
            hyperparameters=config.final(name).hyperparameters(),
            replay=config.replay if replay is None else replay,
        )
        return load_memory(name)(means)

    def learn(
        self,
        name: str,
        parent: Knowledge,
        new: Sequence[Learnt],
        tasks: Sequence[Task],
        before: tuple[Evaluation, ...],
        same: Same = same_document,
    ) -> Candidate:
        """A candidate that knows `new`, as strong as the gates let it be.

        Args:
            tasks: what is asked about what is new.
            before: the answers of the base.
            same: whether what is new takes the place of something.

        Raises:
            DivergedError: training diverged.
        """
        before = self.before(parent, tasks, before)
        memory = self.memory(name)
        known = self._settled(name, parent)
        candidate = self.judged(parent, memory.learn(known, new, "final", same), tasks, before)
        if candidate.reason and self._is_loss(candidate):
            candidate = self._weakened(memory, parent, parent, candidate, tasks)
        for replay in _REPLAYS if name == "replay" and parent.learnt else ():
            if not candidate.reason:
                break
            self._progress.note(f"{candidate.reason}. Trying {replay:g} old edits for each new one.")
            memory = self.memory(name, replay)
            candidate = self.judged(parent, memory.learn(known, new, f"final-{replay:g}", same), tasks, before)
        new_adapters = [sha for sha in candidate.knowledge.adapters if sha not in parent.adapters]
        losses = self._store.adapters.load(new_adapters[-1]).losses if new_adapters else ()
        return replace(candidate, losses=losses)

    def rebuild(self, name: str, known: Knowledge) -> Candidate:
        """A candidate that knows the same by another memory, as strong as the gates let it be.

        Raises:
            DivergedError: training diverged.
        """
        memory = self.memory(name)
        learnt = self._settled(name, known).learnt
        candidate = self.judged(known, memory.add(Knowledge(name), learnt, "final"), (), ())
        return self._weakened(memory, known, Knowledge(name), candidate, ()) if candidate.reason else candidate

    def _settled(self, name: str, known: Knowledge) -> Knowledge:
        """What is known, as one model may learn it, if that is what the memory makes."""
        return known if load_memory(name).routed else replace(known, learnt=without_corrected(known.learnt))

    def ask(self, knowledge: Knowledge, tasks: Sequence[Task], label: str) -> tuple[Evaluation, ...]:
        """What is answered under some knowledge."""
        return self._exam.evaluate(self.recall(knowledge), tasks, label)

    def compare(self, before: Knowledge, after: Knowledge, tasks: Sequence[Task]) -> Compared:
        """The answers of two versions."""
        return self._exam.compare(self.recall(before), self.recall(after), tasks, "Asking both versions")

    def before(self, parent: Knowledge, tasks: Sequence[Task], base: tuple[Evaluation, ...]) -> tuple[Evaluation, ...]:
        """What is answered about what is new so far: by the base, unless something is known already."""
        if not parent.learnt:
            return base
        return self._exam.evaluate(self.recall(parent), tasks, "Asking the version before")

    def judged(
        self, parent: Knowledge, knowledge: Knowledge, tasks: Sequence[Task], before: tuple[Evaluation, ...]
    ) -> Candidate:
        """What the gates say of a candidate."""
        old, new = self.recall(parent), self.recall(knowledge)
        after = self._exam.evaluate(new, tasks, "Asking the version")
        reward = self._stages.reward
        worths = [reward.overall(tasks, before, each) if tasks else None for each in (before, after)]
        # Where nothing is new, nothing has to be better.
        gates = [gate for gate in self._gates if tasks or gate.name not in _NEW_GATES]
        drift = measured(self._meter, self._store, new, self._base, cheap=_DRIFT_GATE not in self.config.gates)
        than = "the version before" if parent.learnt else "the base model"
        case = GateCase(
            before,
            after,
            worths[0],
            worths[1],
            what="the update",
            than=than,
            retained=self._retained(parent, knowledge, old, new, tasks),
            general=self._general(new),
            keep=self._exam.compare(old, new, self._keep, "Asking what is to stay right") if self._keep else None,
            divergence=self._divergence(new),
            margins=self.config.margins.margins(),
            drift=drift,
            drift_limits=self.config.drift,
        )
        reason = first_reason(gates, case) or ""
        return Candidate(knowledge, before, after, all_figures(gates, case), reason, drift=drift)

    def recall(self, knowledge: Knowledge) -> Recall:
        """Who answers under some knowledge."""
        return Recall(knowledge, self._base, self._store.adapters.load, self.config.router)

    def _retained(
        self, parent: Knowledge, knowledge: Knowledge, old: Recall, new: Recall, tasks: Sequence[Task]
    ) -> Compared | None:
        """The questions about what was learnt before and still is, and is not what is learnt now."""
        asked_now = {task.id for task in tasks}
        old_ids = {item.task.id for item in parent.learnt} - asked_now
        # As it is known now: what was corrected is no longer asked as it was before.
        known = [item.task for item in knowledge.learnt if item.task.id in old_ids]
        probes = [tuple(probe for probe in task.probes if not new.corrects(probe.question)) for task in known]
        kept = [replace(task, probes=asked) for task, asked in zip(known, probes, strict=True) if asked]
        return self._exam.compare(old, new, kept, "Asking about what was learnt before") if kept else None

    def _general(self, new: Recall) -> Compared | None:
        if not _GENERAL_GATES & set(self.config.gates):
            return None
        exam = Exam(self._stages.general, self._journal, self._progress)
        return exam.compare(self.recall(Knowledge()), new, general_tasks(), "Asking general questions")

    def _divergence(self, new: Recall) -> float | None:
        if not _TEXT_GATES & set(self.config.gates):
            return None
        return divergence(new, general_texts(), self._base, self._stages.generator, self._stages.prompter)

    def _is_loss(self, candidate: Candidate) -> bool:
        """Whether a weaker update could help: something besides what is new got worse, and that got better."""
        passed = {figure.gate: figure.passed for figure in candidate.figures}
        return all(passed.get(name, True) for name in _NEW_GATES) and not all(passed.values())

    def _weakened(
        self, memory: Memory, parent: Knowledge, start: Knowledge, strong: Candidate, tasks: Sequence[Task]
    ) -> Candidate:
        """The strongest update that passes, found by bisection; the strong one, with its reason, if none does.

        Args:
            parent: what is held against it.
            start: what it is an update of: nothing, where all that the parent knows was trained anew.
        """
        best, low, high = strong, 0.0, 1.0
        for _ in range(TRIES):
            scale = (low + high) / 2
            self._progress.note(f"{strong.reason}. Trying the update at {scale:.0%} of its strength.")
            weaker = memory.weaker(start, strong.knowledge, scale)
            candidate = self.judged(parent, weaker, tasks, strong.before)
            if not candidate.reason:
                best, low = replace(candidate, scale=scale), scale
            elif not self._is_loss(candidate):
                low = scale  # So weak that what is new is lost.
                if best is not strong:
                    break
            else:
                high = scale
        return best

    def _examples(self, item: Learnt) -> tuple[Example, ...]:
        hyperparameters = self.config.edit_training.hyperparameters()
        # Each of several edits teaches the passage, too: once is enough.
        several = len(item.edits) > 1
        return self._search.join([item.task], item.edits, hyperparameters, item.seed, unique=several).examples

    def _train(self, recipes: Sequence[Recipe], model: Model) -> list[str]:
        """Adapters by the hashes under which the store keeps them, a chunk at a time; empty for one that diverged.

        Raises:
            DivergedError: the only one, or all of them, diverged.
        """
        hashes: dict[str, str] = {}
        chunk = max(1, 2 * self.config.slots)
        # Recipes of like length together: no slot waits long for another at a chunk's end.
        ordered = sorted(recipes, key=lambda recipe: (-recipe.tokens_per_epoch, recipe.id))
        for start in range(0, len(ordered), chunk):
            part = ordered[start : start + chunk]
            key = work_key(part, model)[:32]
            recorded = self._journal.get("adapters", key, dict[str, str])
            if recorded is None or not all(self._store.adapters.holds(sha) for sha in recorded.values() if sha):
                label = (
                    "Training the version" if len(ordered) <= chunk else f"Training {start + len(part)}/{len(ordered)}"
                )
                recorded = self._train_chunk(key, part, model, label)
            hashes |= recorded
        if not any(hashes.values()):
            raise DivergedError(f"{DIVERGED}: lower final_training.learning_rate")
        return [hashes[recipe.id] for recipe in recipes]

    def _train_chunk(self, key: str, recipes: Sequence[Recipe], model: Model, label: str) -> dict[str, str]:
        updates = self._search.train_all(key, recipes, model, label)
        hashes = {}
        for recipe in recipes:
            update = updates[recipe.id]
            assert isinstance(update, Adapter)  # `LearnConfig` refuses full finetuning.
            sound = is_sound(update)
            hashes[recipe.id] = self._store.put_adapter(update, self._base.base.name) if sound else ""
        self._store.audit.record(
            "trained", hashes={"recipe": [key], "adapter": [sha for sha in hashes.values() if sha]}
        )
        self._journal.put("adapters", key, hashes)
        self._search.done_with(key)
        return hashes
