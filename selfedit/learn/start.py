"""From documents that were read to a run of `learn`: on a loaded base, in a store, and taken up where it was left."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from selfedit.compose import compose, compose_domain, make_prompter
from selfedit.cost import duration
from selfedit.domains.knowledge import KnowledgeDomain
from selfedit.files.hashing import update_sha256
from selfedit.generate.base import Generator
from selfedit.graders import GRADERS
from selfedit.guard import Known, make_guard
from selfedit.learn.budget import EFFORTS, fitted, plan, with_effort
from selfedit.learn.config import DEFAULT_FORMAT, LearnConfig, held_to
from selfedit.learn.corrections import Correction, kept, open_cases
from selfedit.learn.corrections import screened as screened_corrections
from selfedit.learn.feedback import FeedbackResult, FeedbackRun, with_corrected
from selfedit.learn.prepare import Material, Sources, read_keep, split_sources, with_paths, without_known, work_key
from selfedit.learn.run import LearnResult, LearnRun, nothing_new, waits
from selfedit.learn.screen import ModelReader, Screened, screened, without
from selfedit.learn.update import Updater
from selfedit.learn.window import check_questions, passage_limit
from selfedit.memory import DEFAULT_MEMORY, load_memory
from selfedit.memory.recall import Recall
from selfedit.models.load import BaseModel
from selfedit.models.prompt import Prompter
from selfedit.multilora.model import layer_shapes, resolve_targets
from selfedit.policies.answer_first import AnswerFirstPolicy
from selfedit.policies.file import FilePolicy
from selfedit.policies.formats import ANSWER_FIRST
from selfedit.progress import Progress
from selfedit.rewards.guarded import GuardedReward
from selfedit.rules import Rules
from selfedit.store import BASE, Journal, Store, check_base
from selfedit.types import Adapter, DocumentRef, Flag, Knowledge, Model, Task, Version


@dataclass(frozen=True)
class Request:
    """What is to be learnt, and how.

    Attributes:
        file: self-edits that something else wrote.
        policy: what writes them otherwise, and what adapters are trained on top of; None is the bare base.
        parent: the version to go on from, or `BASE`; None is the active one.
        keep: the user's questions that are to stay right.
        check: is given the material before anything is done, and may refuse it.
        seconds: how long the material takes, by settings.
        flags: what a person should look at before what is learnt takes effect.
    """

    sources: Sources
    config: LearnConfig
    file: FilePolicy | None
    policy: Adapter | None
    parent: str | None
    keep: tuple[Task, ...]
    check: Callable[[Material, LearnConfig], None]
    seconds: Callable[[Material], Callable[[LearnConfig], float]]
    flags: tuple[Flag, ...] = ()


class Learner:
    """Learns into a store, and changes what is in it.

    Args:
        path: of the store, which is made when there is something to put into it.
        generator: the default one, which is loaded already.
        actor: who does it, for the audit log; None is whoever the environment names.
    """

    def __init__(
        self, base: BaseModel, path: Path, progress: Progress, generator: Generator, actor: str | None = None
    ) -> None:
        self._base, self._path, self._progress, self._generator = base, path, progress, generator
        self._actor = actor

    def learn(self, request: Request) -> LearnResult:
        """Learn what is not known as it is.

        Raises:
            UserError: something in the request, the store or the machine does not allow it; nothing was changed.
        """
        config, policy = request.config, request.policy
        if config.format is None:
            config = config.model_copy(update={"format": DEFAULT_FORMAT if policy is None else ANSWER_FIRST})
        chosen = {"sentences": config.with_sentences, "keep_untested": config.keeps_untested}
        config = config.model_copy(update=chosen)
        config, material = self._split(request.sources, config)
        if request.file is not None:
            request.file.check(material.tasks)
        known = self._known(request.parent)
        left, same = without_known(material, () if config.again else known.documents)
        found = self._screened(left, held_to(config, self._rules), known, policy)
        left, flags = found.material, found.held
        taught = update_sha256(policy) if policy is not None else ""
        learnt = without(material, {flag.where for flag in flags})
        key = work_key(learnt, config, self._base.fingerprint, GRADERS[config.grader]().identity, taught)
        # Work that was killed after its commit finds its documents known, and is to say what came of it.
        if not (self._path / "work" / key).exists():
            if not left.tasks:
                return nothing_new(same, flags)
            if not config.again and (waiting := self._waiting(left, request.parent)) is not None:
                return waits(waiting)
        request.check(left, config)
        Store.check(self._path, self._adapter_bytes(config, len(left.tasks)))
        store = self._open(create=True)
        config = held_to(config, store.rules)
        store.admit(left.documents, self._tokens(left))
        with store.journal(key) as journal:
            # What was known when this work began is left out of it, however often it is taken up.
            if (begun := journal.get("known", "documents", tuple[DocumentRef, ...])) is None:
                journal.put("known", "documents", same)
            else:
                left, same = without_known(learnt, begun)
            if config.budget is not None:
                config = self._within_budget(journal, request.seconds(left), config)
            generator = self._generator if config.generator == "batched" else None
            composition = replace(config.composition, taught=policy is not None)
            stages = compose(self._base, composition, self._progress.note, request.file, generator)
            guards = [make_guard(name) for name in config.guards]
            reward = GuardedReward(stages.reward, guards, config.allow_flagged)
            stages = replace(stages, reward=reward)
            base = Model(self._base.ref)
            run = LearnRun(
                stages,
                store,
                journal,
                base,
                config,
                self._progress,
                request.parent,
                (*request.keep, *kept(store)),
                policy,
                (*request.flags, *found.passed),
            )
            result = run.run(left)
            store.clear_journal(key)
        store.prune()
        task_of = {task.id: task for task in result.tasks}
        edits = [rollout.edit for rollout in result.rollouts]
        flags += tuple(flag for edit in edits for flag in reward.flags(task_of[edit.task_id], edit))
        return replace(result, known=tuple(document.title for document in same), flags=flags)

    def _screened(self, material: Material, config: LearnConfig, known: Knowledge, policy: Adapter | None) -> Screened:
        """The documents that no guard stops, and what was said of them and of the others."""
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
        store = self._open()
        config = held_to(config, store.rules)
        chosen = store.get(version)
        keep = (*read_keep(config.keep), *kept(store))
        check_base(chosen, self._base.fingerprint, self._base.ref.name)
        stages = compose(self._base, config.composition, self._progress.note, None, self._generator)
        key = hashlib.sha256(f"{what}/{chosen.id}/{config.model_dump_json()}".encode()).hexdigest()[:32]
        policy = chosen.knowledge.learnt[-1].policy if chosen.knowledge.learnt else ""
        with store.journal(key) as journal:
            yield Updater(stages, store, journal, Model(self._base.ref), config, self._progress, keep, policy)
            store.clear_journal(key)

    def learn_feedback(
        self, config: LearnConfig, policy: Adapter | None, keep: tuple[Task, ...] = (), *, again: bool = False
    ) -> FeedbackResult:
        """Learn what people said of answers and no update has seen to; what they agree on first, and by itself.

        Args:
            keep: the user's questions that are to stay right.
            again: also what an update saw to that did not take effect.

        Raises:
            UserError: the store or the machine does not allow it; nothing was changed.
        """
        store = self._open()
        cases = open_cases(store, again=again)
        config = config.model_copy(update={"gates": with_corrected(config.gates), "format": ANSWER_FIRST})
        config = held_to(config, store.rules)
        given = [Correction(case) for case in cases if case.newest.answer]
        guards = [make_guard(name) for name in config.guards]
        flags = screened_corrections(guards, given, ())
        held = [flag for flag in flags if flag.kind not in config.allow_flagged]
        waiting = {flag.where for flag in held}
        passed = tuple(flag for flag in flags if flag.where not in waiting)
        result = FeedbackResult(
            flags=tuple(held), unanswered=tuple(case.newest for case in cases if not case.newest.answer)
        )
        given = [each for each in given if each.feedback.id not in waiting]
        for disputed in (False, True):
            part = [each for each in given if each.case.disputed is disputed]
            if part:
                ids = {each.feedback.id for each in part}
                mine = tuple(flag for flag in passed if flag.where in ids)
                result = result.and_then(self._learn_corrections(part, config, policy, keep, mine))
        return result

    def _learn_corrections(
        self,
        given: list[Correction],
        config: LearnConfig,
        policy: Adapter | None,
        keep: tuple[Task, ...],
        flags: tuple[Flag, ...],
    ) -> FeedbackResult:
        store = self._open()
        memory = self._known(None).memory or config.memory or DEFAULT_MEMORY
        sha256 = store.put_adapter(policy, self._base.ref.name) if policy is not None else ""
        generator = self._generator if config.generator == "batched" else None
        composition = replace(config.composition, taught=policy is not None)
        stages = compose(self._base, composition, self._progress.note, None, generator)
        assert isinstance(stages.policy, AnswerFirstPolicy)
        what = f"feedback/{[each.ids for each in given]}/{store.active}/{sha256}/{config.model_dump_json()}"
        key = hashlib.sha256(what.encode()).hexdigest()[:32]
        base = Model(self._base.ref)
        writer = base.merge(policy) if policy is not None else base
        Store.check(self._path, self._adapter_bytes(config, len(given)))
        with store.journal(key) as journal:
            stays = (*keep, *kept(store))
            updater = Updater(stages, store, journal, base, config, self._progress, stays, sha256)
            result = FeedbackRun(store, updater, journal, stages.policy, writer).run(given, memory, flags)
            store.clear_journal(key)
        return result

    def _within_budget(
        self, journal: Journal, seconds: Callable[[LearnConfig], float], config: LearnConfig
    ) -> LearnConfig:
        """The settings with what their budget allows, which is decided once: interrupted work goes on as it began."""
        effort = journal.get("effort", "all", int)
        if effort is None:
            effort = fitted(config, seconds)
            journal.put("effort", "all", effort)
        config = with_effort(config, EFFORTS[effort])
        assert config.budget is not None
        self._progress.note(f"Within {duration(config.budget)}: {plan(config)}.")
        return config

    @property
    def _rules(self) -> Rules:
        return self._open().rules if (self._path / "store.json").exists() else Rules()

    def _open(self, *, create: bool = False) -> Store:
        return Store.open(self._path, create=create, actor=self._actor, note=self._progress.note)

    def _waiting(self, material: Material, parent: str | None) -> Version | None:
        """The version that waits for approval and was made of these documents, on top of the same."""
        if not (self._path / "store.json").exists():
            return None
        store = self._open()
        on = store.active if parent is None else parent
        on = None if on == BASE else on
        wanted = {document.sha256 for document in material.documents}
        heads = [h for h in store.heads("p") if h.parent == on and {d.sha256 for d in h.documents} == wanted]
        return store.get(heads[-1].id) if heads else None

    def _tokens(self, material: Material) -> list[int]:
        """Of each document."""
        tokens = dict.fromkeys((document.sha256[:12] for document in material.documents), 0)
        for task in material.tasks:
            tokens[task.id.partition(".")[0]] += self.count_tokens(task.passage)
        return [tokens[document.sha256[:12]] for document in material.documents]

    def _known(self, parent: str | None) -> Knowledge:
        """What the version to go on from knows, which has to be of this base model."""
        if not (self._path / "store.json").exists():
            return Knowledge()
        store = self._open()
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
