"""From documents that were read to a run of `learn`: on a loaded base, in a store, and taken up where it was left."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from selfedit.compose import compose, compose_domain, make_prompter
from selfedit.domains.knowledge import KnowledgeDomain
from selfedit.files.hashing import update_sha256
from selfedit.generate.base import Generator
from selfedit.graders import GRADERS
from selfedit.guard import Known, make_guard
from selfedit.learn.config import DEFAULT_FORMAT, LearnConfig
from selfedit.learn.prepare import Material, Sources, read_keep, split_sources, with_paths, without_known, work_key
from selfedit.learn.run import LearnResult, LearnRun, nothing_new
from selfedit.learn.screen import ModelReader, screened, without
from selfedit.learn.update import Updater
from selfedit.learn.window import check_questions, passage_limit
from selfedit.memory import DEFAULT_MEMORY, load_memory
from selfedit.memory.recall import Recall
from selfedit.models.load import BaseModel
from selfedit.models.prompt import Prompter
from selfedit.multilora.model import layer_shapes, resolve_targets
from selfedit.policies.answer_first import FORMAT as ANSWER_FIRST
from selfedit.policies.file import FilePolicy
from selfedit.progress import Progress
from selfedit.rewards.guarded import GuardedReward
from selfedit.store import BASE, Store, check_base
from selfedit.types import Adapter, DocumentRef, Flag, Knowledge, Model, Task


@dataclass(frozen=True)
class Request:
    """What is to be learnt, and how.

    Attributes:
        file: self-edits that something else wrote.
        policy: what writes them otherwise, and what adapters are trained on top of; None is the bare base.
        parent: the version to go on from, or `BASE`; None is the active one.
        keep: the user's questions that are to stay right.
        check: is given the material before anything is done, and may refuse it.
    """

    sources: Sources
    config: LearnConfig
    file: FilePolicy | None
    policy: Adapter | None
    parent: str | None
    keep: tuple[Task, ...]
    check: Callable[[Material, LearnConfig], None]


class Learner:
    """Learns into a store, and changes what is in it.

    Args:
        path: of the store, which is made when there is something to put into it.
        generator: the default one, which is loaded already.
    """

    def __init__(self, base: BaseModel, path: Path, progress: Progress, generator: Generator) -> None:
        self._base, self._path, self._progress, self._generator = base, path, progress, generator

    def learn(self, request: Request) -> LearnResult:
        """Learn what is not known as it is.

        Raises:
            UserError: something in the request, the store or the machine does not allow it; nothing was changed.
        """
        config, policy = request.config, request.policy
        if config.format is None:
            config = config.model_copy(update={"format": DEFAULT_FORMAT if policy is None else ANSWER_FIRST})
        config, material = self._split(request.sources, config)
        if request.file is not None:
            request.file.check(material.tasks)
        known = self._known(request.parent)
        left, same = without_known(material, () if config.again else known.documents)
        left, flags = self._screened(left, config, known, policy)
        taught = update_sha256(policy) if policy is not None else ""
        learnt = without(material, {flag.where for flag in flags})
        key = work_key(learnt, config, self._base.fingerprint, GRADERS[config.grader]().identity, taught)
        # Work that was killed after its commit finds its documents known, and is to say what came of it.
        if not left.tasks and not (self._path / "work" / key).exists():
            return nothing_new(same, flags)
        request.check(left, config)
        Store.check(self._path, self._adapter_bytes(config, len(left.tasks)))
        store = Store.open(self._path, create=True)
        with store.journal(key) as journal:
            # What was known when this work began is left out of it, however often it is taken up.
            if (begun := journal.get("known", "documents", tuple[DocumentRef, ...])) is None:
                journal.put("known", "documents", same)
            else:
                left, same = without_known(learnt, begun)
            generator = self._generator if config.generator == "batched" else None
            # Other formats were practised with their example in sight.
            taught_to_ask = policy is not None and config.composition.format == ANSWER_FIRST
            composition = replace(config.composition, worked_example=not taught_to_ask)
            stages = compose(self._base, composition, self._progress.note, request.file, generator)
            guards = [make_guard(name) for name in config.guards]
            reward = GuardedReward(stages.reward, guards, config.allow_flagged)
            stages = replace(stages, reward=reward)
            base = Model(self._base.ref)
            run = LearnRun(stages, store, journal, base, config, self._progress, request.parent, request.keep, policy)
            result = run.run(left)
            store.clear_journal(key)
        store.prune()
        task_of = {task.id: task for task in result.tasks}
        edits = [rollout.edit for rollout in result.rollouts]
        flags += tuple(flag for edit in edits for flag in reward.flags(task_of[edit.task_id], edit))
        return replace(result, known=tuple(document.title for document in same), flags=flags)

    def _screened(
        self, material: Material, config: LearnConfig, known: Knowledge, policy: Adapter | None
    ) -> tuple[Material, tuple[Flag, ...]]:
        """The documents that no guard stops, and the flags of the others."""
        reader = None
        if known.learnt:
            base = Model(self._base.ref)
            domain = compose_domain(self._base, "knowledge", {})
            assert isinstance(domain, KnowledgeDomain)
            recall = Recall(known, base, Store.open(self._path).adapters.load, config.router)
            reader = ModelReader(self._generator, domain, recall, base.merge(policy) if policy is not None else base)
        return screened(material, config, Known(known.learnt, config.languages, reader), self._progress)

    @contextmanager
    def updating(self, config: LearnConfig, what: str, version: str | None = None) -> Iterator[Updater]:
        """What changes versions or compares them; interrupted, the same work goes on where it was.

        Args:
            what: the work, in words that are its own.
            version: on which; None is the active one.
        """
        store = Store.open(self._path)
        chosen = store.get(version)
        keep = read_keep(config.keep)
        check_base(chosen, self._base.fingerprint, self._base.ref.name)
        stages = compose(self._base, config.composition, self._progress.note, None, self._generator)
        key = hashlib.sha256(f"{what}/{chosen.id}/{config.model_dump_json()}".encode()).hexdigest()[:32]
        policy = chosen.knowledge.learnt[-1].policy if chosen.knowledge.learnt else ""
        with store.journal(key) as journal:
            yield Updater(stages, store, journal, Model(self._base.ref), config, self._progress, keep, policy)
            store.clear_journal(key)

    def _known(self, parent: str | None) -> Knowledge:
        """What the version to go on from knows, which has to be of this base model."""
        if not (self._path / "store.json").exists():
            return Knowledge()
        store = Store.open(self._path)
        id = store.active if parent is None else parent
        if id is None or id == BASE:
            return Knowledge()
        version = store.get(id)
        check_base(version, self._base.fingerprint, self._base.ref.name)
        return version.knowledge

    def _split(self, sources: Sources, config: LearnConfig) -> tuple[LearnConfig, Material]:
        """The material in passages that fit the model's window, and the settings with the length that they have."""
        window = self._base.context_window
        limit = passage_limit(sources, config, self._prompter, window)
        if limit < config.passage_tokens:
            self._progress.note(
                f"Passages have at most {limit} tokens instead of {config.passage_tokens}: with the prompt and what "
                f"is written about them, longer ones do not fit the model's window of {window}."
            )
        material = with_paths(split_sources(sources, limit, self.count_tokens), self._path)
        if material.cut_paragraphs:
            self._progress.note(f"{material.cut_paragraphs} paragraphs were longer than {limit} tokens and were split.")
        domain = compose_domain(self._base, "knowledge", {})
        assert isinstance(domain, KnowledgeDomain)
        check_questions(material, config, domain, window)
        return config.model_copy(update={"passage_tokens": limit}), material

    def count_tokens(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._prompter.encode(text))

    @cached_property
    def _prompter(self) -> Prompter:
        return make_prompter(self._base)

    def _adapter_bytes(self, config: LearnConfig, passages: int) -> int:
        """The size on disk of a version's adapters, by which a full disk is found before the work and not after it."""
        memory = config.memory or DEFAULT_MEMORY
        final = config.final(memory)
        layers = resolve_targets(self._base.model, final.target_modules)
        one = sum(4 * final.rank * sum(shape) for shape in layer_shapes(self._base.model, layers).values())
        return (passages if load_memory(memory).routed else 1) * one
