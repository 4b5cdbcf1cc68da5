"""`learn`: one turn of the search with the policy fixed, on documents, ending in a version.

tasks -> write edits -> (of several, keep the best by an adapter on each) -> memory -> gates -> Store
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial

from selfedit.learn.budget import KEPT_FREE
from selfedit.learn.config import LearnConfig
from selfedit.learn.corrections import carried
from selfedit.learn.feedback import FeedbackResult
from selfedit.learn.prepare import Material
from selfedit.learn.update import Candidate, Updater
from selfedit.memory import DEFAULT_MEMORY, same_document
from selfedit.policies.answer_first import AnswerFirstPolicy
from selfedit.policies.questions import QuestionWriter
from selfedit.progress import Progress
from selfedit.release_0_1 import upgrade_learn_journal
from selfedit.runtime import software_versions
from selfedit.search.selection import Selection, make_groups, rank, select
from selfedit.search.stages import Stages
from selfedit.search.step import UNASKED, Search
from selfedit.search.training import DivergedError
from selfedit.store import BASE, Journal, MovedError, Store
from selfedit.store.store import combined_sha256
from selfedit.store.version_files import newly_learnt
from selfedit.store.version_folders import Letter
from selfedit.types import (
    Adapter,
    DocumentRef,
    Evaluation,
    Flag,
    GateFigure,
    Group,
    Knowledge,
    Model,
    ProbeSource,
    Rollout,
    SelfEdit,
    Task,
    Trial,
    Version,
)

_ALL = "all"
"""The only stage of a run of `learn`."""
_AS_LONG_AS_ITS_ANSWER = 48
"""The base talks until it is stopped. In the time of so many of its tokens a version answers: in few words, but two
adapters may be asked, each in products of its own (measured: twice as long as 24 tokens, half as long as 64)."""

_UNASKED = "there is no question to measure it by; give some with --questions"


@dataclass(frozen=True)
class LearnResult:
    """What came of a run.

    Attributes:
        version: None if nothing was committed, and `reason` says why.
        rejected: what was set aside because the gates did not let it through.
        pending: what waits for approval.
        known: titles of documents that were left out because they are known as they are.
        flags: why documents wait for a person, and self-edits were not learnt.
        feedback: what came of what people said of answers, which is learnt after the documents; None where nothing was.
    """

    version: Version | None
    reason: str
    tasks: tuple[Task, ...]
    rollouts: tuple[Rollout, ...]
    probe_source: ProbeSource
    probes_dropped: int
    before: tuple[Evaluation, ...]
    after: tuple[Evaluation, ...]
    seconds: float
    figures: tuple[GateFigure, ...] = ()
    rejected: Version | None = None
    known: tuple[str, ...] = ()
    pending: Version | None = None
    flags: tuple[Flag, ...] = ()
    feedback: FeedbackResult | None = None


class LearnRun:
    """A run that can be killed at any point: done alike again, it goes on with what is missing.

    Each finished piece (questions, a task's self-edits, an evaluation) is in the journal before the next begins.

    Args:
        parent: the version to go on from, or `BASE`; None goes on from whichever is active when it is committed.
        keep: the user's questions that are to stay right.
        policy: what writes self-edits and questions, and what adapters are trained on top of; None is the bare base.
        flags: what a person should look at before the version takes effect.
    """

    def __init__(
        self,
        stages: Stages,
        store: Store,
        journal: Journal,
        base: Model,
        config: LearnConfig,
        progress: Progress,
        parent: str | None = None,
        keep: tuple[Task, ...] = (),
        policy: Adapter | None = None,
        flags: tuple[Flag, ...] = (),
    ) -> None:
        self._stages, self._store, self._journal = stages, store, journal
        self._base, self._config, self._progress, self._parent = base, config, progress, parent
        self._flags = flags
        # Two rounds of slots a chunk: enough to refill them, few enough to lose little work when killed.
        self._search = Search(stages, journal, progress, 2 * config.slots)
        sha256 = store.put_adapter(policy, base.base.name) if policy is not None else ""
        self._updater = Updater(stages, store, journal, base, config, progress, keep, sha256)
        self._writer = base.merge(policy) if policy is not None else base
        self._asking = 0.0
        upgrade_learn_journal(journal, config.seed)

    def run(self, material: Material) -> LearnResult:
        """Learn the material and commit a version, unless the gates do not let it through."""
        with self._timed():
            committed = self._committed(material)
            if committed is not None:
                return _result(committed)
            if (waiting := self._same(material, "p")) is not None:
                return waits(waiting)
            tasks, source, dropped = self._with_probes(material)
            if not any(task.probes for task in tasks):
                unasked = tuple(Evaluation(task.id, "none", ()) for task in tasks)
                return LearnResult(None, _UNASKED, tasks, (), source, dropped, unasked, (), self._seconds)
            asked, choosing = self._split_probes(tasks)
            rollouts, before = self._search_edits(asked, choosing)
            self._log_edits(material, rollouts)
            result = LearnResult(None, "", asked, rollouts, source, dropped, before, (), self._seconds)
            if not any(rollout.kept for rollout in rollouts):
                usable = sum(rollout.failure is None for rollout in rollouts)
                none = f"none of the {len(rollouts)} self-edits ({usable} of them usable) beat the base model"
                return replace(result, reason=none)
            return self._update(material, result)

    def _update(self, material: Material, result: LearnResult) -> LearnResult:
        """Learn on top of what is active, as often as another process was faster to commit."""
        while True:
            on = self._parent or self._store.active or BASE
            parent = None if on == BASE else self._store.get(on)
            known = parent.knowledge if parent is not None else Knowledge()
            memory = self._config.memory or known.memory or DEFAULT_MEMORY
            if known.learnt and known.memory != memory:
                self._progress.note(f"{on} is kept in another way: all that it knows is trained anew as '{memory}'.")
            version = self._version(material, result, None if parent is None else parent.id)
            new = newly_learnt(version)
            gone = [item for item in known.learnt if any(same_document(item, other) for other in new)]
            new = (*new, *carried(gone, self._config.seed))
            try:
                updater = self._updater
                if self._config.budget is not None:
                    updater = updater.within(partial(self._left, self._config.budget), memory, new)
                candidate = updater.learn(memory, known, new, result.tasks, result.before)
            except DivergedError as error:
                return replace(result, reason=f"training diverged ({error})", seconds=self._seconds)
            version = replace(
                version,
                knowledge=candidate.knowledge,
                settings=updater.config.record(memory),
                before=candidate.before,
                after=candidate.after,
                gates=candidate.figures,
                scale=candidate.scale,
                drift=candidate.drift,
                losses=candidate.losses,
                seconds=self._seconds,
            )
            result = replace(
                result, after=candidate.after, before=candidate.before, figures=candidate.figures, seconds=self._seconds
            )
            self._log_gates(candidate)
            if candidate.reason:
                aside = self._store.commit(replace(version, rejected=candidate.reason), letter="r")
                return replace(result, reason=candidate.reason, rejected=aside)
            try:
                made = self._store.commit(version, on=None if self._parent else on)
                return waits(made) if made.id in self._store.ids("p") else replace(result, version=made)
            except MovedError:
                self._progress.note("Another version became active meanwhile: going on from that one.")

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Counts the time of this invocation with that of those before it that were interrupted."""
        self._spent, self._started = self._journal.get("seconds", _ALL, float) or 0.0, time.monotonic()
        try:
            yield
        finally:
            self._journal.put("seconds", _ALL, self._seconds)

    def _left(self, budget: float) -> float:
        """Seconds for training, when what the version's answers will take is kept, by the base's, and some more."""
        asking = self._asking * _AS_LONG_AS_ITS_ANSWER / self._config.max_answer_tokens
        return (1 - KEPT_FREE / 2) * budget - self._seconds - asking

    @property
    def _seconds(self) -> float:
        return self._spent + time.monotonic() - self._started

    def _with_probes(self, material: Material) -> tuple[tuple[Task, ...], ProbeSource, int]:
        """The tasks with probes: those that came with them, or else those that the model writes."""
        if material.probe_source is not None:
            return material.tasks, material.probe_source, 0
        saved = self._journal.get("questions", _ALL, tuple[tuple[Task, ...], int])
        if saved is None:
            policy = self._stages.policy
            writer = (
                policy
                if isinstance(policy, AnswerFirstPolicy)
                else QuestionWriter(self._stages.generator, self._stages.prompter)
            )
            with self._progress.bar("Writing questions", len(material.tasks), "passages") as bar:
                probes, dropped = writer.write(
                    material.tasks, self._config.questions_per_passage, self._config.seed, self._writer
                )
                bar.advance(len(material.tasks))
            saved = (tuple(replace(task, probes=probes[task.id]) for task in material.tasks), dropped)
            self._journal.put("questions", _ALL, saved)
        return saved[0], "model", saved[1]

    def _split_probes(self, tasks: tuple[Task, ...]) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
        """The tasks with the probes that measure the version, and with those that choose among edits.

        Where there is a choice to make, no probe does both: of a passage's questions every second one chooses. A
        passage with a single question has nothing to choose by, and its first usable edit is kept.
        """
        if self._config.edits == 1 and not self._chooses_by_all:
            return tasks, tuple(replace(task, probes=()) for task in tasks)
        if self._chooses_by_all:
            return tasks, tasks
        measure = tuple(replace(task, probes=task.probes[::2]) for task in tasks)
        return measure, tuple(replace(task, probes=task.probes[1::2]) for task in tasks)

    @property
    def _chooses_by_all(self) -> bool:
        return not self._config.held_out

    def _search_edits(
        self, tasks: Sequence[Task], choosing: Sequence[Task]
    ) -> tuple[tuple[Rollout, ...], tuple[Evaluation, ...]]:
        """Every edit with what became of it, and what the base answered to the probes that measure.

        With one edit a passage there is nothing to choose, and no adapter is trained to try it.
        """
        config = self._config
        edits = self._search.propose("", tasks, config.edits, self._writer, config.seed, finish=self._with_one_usable)
        asked = time.monotonic()
        before = self._search.evaluate_base(_ALL, tasks, self._base, "Asking the base model")
        self._asking = time.monotonic() - asked
        training = config.edit_training.hyperparameters()
        chosen_by = before
        if any(task.probes for task in choosing) and self._stages.reward.needs_training:
            seeds = (config.seed,)
            if not self._chooses_by_all:
                chosen_by = self._search.evaluate_base("choosing", choosing, self._base, "Asking the base model")
            trials = self._search.evaluate_edits(_ALL, choosing, edits, self._writer, training, seeds, "Training edits")
        else:
            trials = self._search.check_edits(_ALL, tasks, edits, training, config.seed)
        measured = {task.id for task in tasks if task.probes}
        by_id: dict[str, Rollout] = {}
        for group in make_groups(choosing, edits, trials, chosen_by):
            if group.task.probes or not self._stages.reward.needs_training:
                group = select(rank(group, self._stages.reward), Selection())
            group = self._with_unchosen(group, group.task.id in measured)
            by_id |= {rollout.edit.id: rollout for rollout in group.rollouts}
        return tuple(by_id[edit.id] for edit in edits), before

    def _with_one_usable(self, task: Task, edits: list[SelfEdit]) -> list[SelfEdit]:
        """Where nothing usable was written about a passage, training on its text is tried."""
        training = self._config.edit_training.hyperparameters()
        domain, reward = self._stages.domain, self._stages.reward
        if any(domain.is_usable(task, edit, training) and not reward.refusal(task, edit) for edit in edits):
            return edits
        return [*edits, SelfEdit(f"{task.id}.passage", task.id, "none", "", "", self._config.seed)]

    def _with_unchosen(self, group: Group, measured: bool) -> Group:
        """Where nothing could choose, the first usable edit is kept, if a question measures it or the user says so."""
        if any(rollout.kept for rollout in group.rollouts) or group.task.probes:
            return group
        usable = [r.edit.id for r in group.rollouts if r.failure in (None, UNASKED)]
        if not measured and not self._config.keeps_untested:
            unasked = tuple(r if r.failure else replace(r, trials=(self._unasked(r.edit),)) for r in group.rollouts)
            return replace(group, rollouts=unasked)
        rollouts = tuple(replace(r, kept=r.edit.id in usable[:1]) for r in group.rollouts)
        return replace(group, rollouts=rollouts)

    def _unasked(self, edit: SelfEdit) -> Trial:
        return Trial(edit.id, edit.task_id, self._config.seed, failure=UNASKED)

    def _committed(self, material: Material) -> Version | None:
        """What an earlier invocation, which was killed when it had committed, made of the same work."""
        version = self._same(material, "v")
        if version is None:
            return None
        activated = {each.version for each in self._store.lineage.history()}
        if version.id not in activated and self._store.active != version.id:
            if not self._parent and self._store.active != version.parent:
                return None  # Another one was faster meanwhile, and is gone on from.
            self._store.activate(version.id, "learn")
        return version

    def _same(self, material: Material, letter: Letter) -> Version | None:
        """The version that came of this very work, if there is one."""
        created = self._journal.get("created", "version", str)
        heads = self._store.heads(letter) if created is not None else ()
        same = [head.id for head in heads if (head.created, head.documents) == (created, material.documents)]
        return self._store.get(same[0]) if same else None

    def _log_edits(self, material: Material, rollouts: Sequence[Rollout]) -> None:
        """Say in the store's audit log what was written, once for this work."""
        if self._journal.get("logged", "edits", bool):
            return
        texts = [rollout.edit.text.encode("utf-8", "replace") for rollout in rollouts]
        hashes = {
            "document": [document.sha256 for document in material.documents],
            "edit": [hashlib.sha256(text).hexdigest() for text in texts],
        }
        kept = sum(rollout.kept for rollout in rollouts)
        self._store.audit.record("wrote edits", hashes=hashes, kept=kept)
        self._journal.put("logged", "edits", True)

    def _log_gates(self, candidate: Candidate) -> None:
        """Say in the store's audit log what the gates made of a candidate."""
        hashes = {"adapter": [combined_sha256(candidate.knowledge.adapters)]}
        gates = {figure.gate: figure.passed for figure in candidate.figures}
        self._store.audit.record("gated", hashes=hashes, passed=not candidate.reason, why=candidate.reason, gates=gates)

    def _version(self, material: Material, result: LearnResult, parent: str | None) -> Version:
        """The version to be, without what a memory and the gates say of it."""
        created = self._journal.get("created", "version", str)
        if created is None:
            created = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self._journal.put("created", "version", created)
        return Version(
            id="",
            created=created,
            base=self._base.base,
            documents=material.documents,
            tasks=result.tasks,
            probe_source=result.probe_source,
            probes_dropped=result.probes_dropped,
            settings=self._config.record(self._config.memory or DEFAULT_MEMORY),
            software=software_versions(),
            rollouts=result.rollouts,
            before=result.before,
            after=(),
            losses=(),
            seconds=result.seconds,
            parent=parent,
            flags=self._flags,
        )


def nothing_new(known: Sequence[DocumentRef], flags: tuple[Flag, ...] = ()) -> LearnResult:
    """What comes of documents that are all known as they are, or wait."""
    reason = "nothing is new: all documents are known as they are; --again learns them anew"
    if flags:
        reason = "all that is new was flagged and waits; --allow-flagged KIND lets it through"
    titles = tuple(document.title for document in known)
    return LearnResult(None, reason, (), (), "documents", 0, (), (), 0.0, known=titles, flags=flags)


def waits(version: Version) -> LearnResult:
    """What comes of documents whose version waits for approval."""
    return replace(_result(version), version=None, pending=version, reason=f"it waits for approval as {version.id}")


def _result(version: Version) -> LearnResult:
    """What came of a run that had committed."""
    return LearnResult(
        version,
        "",
        version.tasks,
        version.rollouts,
        version.probe_source,
        version.probes_dropped,
        version.before,
        version.after,
        version.seconds,
        version.gates,
    )
