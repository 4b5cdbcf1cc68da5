"""An update out of what people said of answers: what was corrected is right after it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from selfedit.files.journal import Journal
from selfedit.learn.corrections import Correction, answered, by_themselves, corrected_before, subject, with_corrections
from selfedit.learn.update import Candidate, Updater
from selfedit.memory import load_memory, same_passage
from selfedit.policies.answer_first import AnswerFirstPolicy
from selfedit.policies.spans import sentences
from selfedit.routing import Query
from selfedit.runtime import software_versions
from selfedit.search.training import DivergedError
from selfedit.store import BASE, MovedError, Store
from selfedit.store.feedback import Feedback
from selfedit.text.matching import answer_in_passage
from selfedit.types import Flag, Knowledge, Learnt, Model, Rollout, Task, Version

WORDINGS = 5
"""Other wordings that are sought of a question; the last one measures."""

_SENTENCES = 3
"""Of a document, that questions are worded from, beside the correction itself."""

_ABOUT_NEW = ("improved", "better")
"""Gates on what is new, in the place of which one asks whether what was corrected is right."""


@dataclass(frozen=True)
class FeedbackResult:
    """What came of feedback.

    Attributes:
        versions: that took effect; `pending` waits for approval, and `rejected` was set aside.
        reasons: why something was not committed.
        flags: what waits since a guard flagged it.
        unanswered: what was only called wrong: there is nothing to learn until somebody says what is right.
    """

    versions: tuple[Version, ...] = ()
    pending: tuple[Version, ...] = ()
    rejected: tuple[Version, ...] = ()
    reasons: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    unanswered: tuple[Feedback, ...] = ()

    def and_then(self, other: FeedbackResult) -> FeedbackResult:
        """Both."""
        return FeedbackResult(
            (*self.versions, *other.versions),
            (*self.pending, *other.pending),
            (*self.rejected, *other.rejected),
            (*self.reasons, *other.reasons),
            (*self.flags, *other.flags),
            (*self.unanswered, *other.unanswered),
        )


class FeedbackRun:
    """One update out of corrections. Killed at any point and done alike again, it goes on with what is missing.

    Args:
        writer: rewords questions, as `model`.
    """

    def __init__(
        self, store: Store, updater: Updater, journal: Journal, writer: AnswerFirstPolicy, model: Model
    ) -> None:
        self._store, self._updater, self._journal = store, updater, journal
        self._writer, self._model = writer, model
        self._started = time.monotonic()

    def run(self, corrections: Sequence[Correction], memory: str, flags: tuple[Flag, ...]) -> FeedbackResult:
        """Learn them on top of what is active, as often as another process was faster to commit."""
        while True:
            parent = self._store.get() if self._store.active is not None else None
            known = parent.knowledge if parent is not None else Knowledge()
            put = self._put(corrections, known)
            tasks = tuple(correction.task for correction, _ in put)
            seed = self._updater.config.seed
            apart = load_memory(memory).routed
            new = by_themselves(put, corrected_before(known), seed) if apart else with_corrections(put, seed)
            base = self._updater.ask(Knowledge(), tasks, "Asking the base model") if not known.learnt else ()
            try:
                candidate = self._updater.learn(memory, known, new, tasks, base, same_passage)
            except DivergedError as error:
                return FeedbackResult(reasons=(f"training diverged ({error})",))
            version = self._version(parent, candidate, [correction for correction, _ in put], flags)
            if candidate.reason:
                aside = self._store.commit(replace(version, rejected=candidate.reason), letter="r")
                return FeedbackResult(rejected=(aside,), reasons=(candidate.reason,))
            try:
                made = self._store.commit(version, on=BASE if parent is None else parent.id)
            except MovedError:
                continue
            return FeedbackResult(pending=(made,)) if made.id in self._store.ids("p") else FeedbackResult((made,))

    def _put(self, corrections: Sequence[Correction], known: Knowledge) -> list[tuple[Correction, Learnt | None]]:
        """The corrections with their other wordings, each with the passage that answers so far."""
        recall = self._updater.recall(known)
        own = corrected_before(known)
        sources = [recall.about(Query(each.feedback.question)) or own.get(each.feedback.about) for each in corrections]
        tasks = []
        for each, source in zip(corrections, sources, strict=True):
            title = (source.task.title if source is not None else "") or subject(each.feedback.question) or "this"
            # The sentences that say so ask best; where there is none, the correction has to do.
            texts = [_said(each), *(_sentences(known, source, each.feedback.answer) if source is not None else ())]
            tasks.append(Task(each.task.id, title, "\n".join(texts), each.task.probes[:1]))
        words = self._journal.get("rewordings", "all", dict[str, tuple[str, ...]])
        if words is None:
            seed = self._updater.config.seed
            words = self._writer.reword(tasks, WORDINGS, seed, self._model)
            self._journal.put("rewordings", "all", words)
        return list(zip(answered(corrections, words, 1), sources, strict=True))

    def _version(
        self, parent: Version | None, candidate: Candidate, given: Sequence[Correction], flags: tuple[Flag, ...]
    ) -> Version:
        created = self._journal.get("created", "version", str)
        if created is None:
            created = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self._journal.put("created", "version", created)
        disputed = tuple(flag for each in given if (flag := each.flag()) is not None)
        return Version(
            id="",
            created=created,
            base=self._model.base,
            documents=tuple(each.document for each in given),
            tasks=tuple(each.task for each in given),
            probe_source="feedback",
            probes_dropped=0,
            settings=self._updater.config.record(candidate.knowledge.memory),
            software=software_versions(),
            rollouts=tuple(Rollout(each.edit(each.task.id), kept=True) for each in given),
            before=candidate.before,
            after=candidate.after,
            losses=candidate.losses,
            seconds=time.monotonic() - self._started,
            parent=None if parent is None else parent.id,
            action="feedback",
            knowledge=candidate.knowledge,
            gates=candidate.figures,
            scale=candidate.scale,
            drift=candidate.drift,
            flags=(*flags, *disputed),
            feedback=tuple(id for each in given for id in each.ids),
        )


def with_corrected(gates: Sequence[str]) -> tuple[str, ...]:
    """The gates that an update out of feedback has to pass, where others have to pass these."""
    return ("corrected", *(gate for gate in gates if gate not in (*_ABOUT_NEW, "corrected")))


def _said(correction: Correction) -> str:
    return f"{correction.feedback.question.rstrip('?')}: {correction.feedback.answer}."


def _sentences(known: Knowledge, source: Learnt, answer: str) -> list[str]:
    """Those of a passage's document that hold an answer."""
    passages = (item.task.passage for item in known.learnt if item.document == source.document)
    found = (sentence for passage in passages for sentence in sentences(passage))
    return [sentence for sentence in found if answer_in_passage(answer, sentence)][:_SENTENCES]
