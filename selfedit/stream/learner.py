"""Learns a batch at a time, and sees to it that each document is learnt once, or set aside with the reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from selfedit.errors import UserError
from selfedit.learn.run import LearnResult
from selfedit.rules import LimitError
from selfedit.store import Store
from selfedit.stream.base import Aside, Clock, Event, Item, Said, Teacher, Tell
from selfedit.stream.known import Known
from selfedit.stream.reading import read_item, unreadable
from selfedit.stream.state import Batch, State
from selfedit.text.reading import sha256, shown
from selfedit.types import DocumentRef, Version

_AGAIN = timedelta(seconds=1)
"""So long is waited at least where a limit was hit."""

_UNUSED = "nothing of it was learnt: none of its self-edits was of use, or no question asks about it"


class Learner:
    """Holds one batch at a time, which is on the disk.

    Args:
        at_once: files that may go together.

    Attributes:
        said: the hashes of what each file that is there says.
        until: when a batch that hit a limit may be tried again; None where none did.
        learnt, asides: how many documents were learnt and things set aside, since this began.
    """

    def __init__(
        self,
        teacher: Teacher,
        store: Store,
        state: State,
        clock: Clock,
        tell: Tell,
        at_once: int = 16,
    ) -> None:
        self._teacher, self._store, self._state, self._clock, self._tell = teacher, store, state, clock, tell
        self._at_once = at_once
        self._known = Known(store)
        self.said: dict[str, set[str]] = {}
        self.until: datetime | None = None
        self.learnt = self.asides = 0

    @property
    def batch(self) -> Batch:
        """What is being learnt."""
        return self._state.batch

    @property
    def is_held(self) -> bool:
        """Whether it waits for approval, and nobody has said anything yet."""
        return bool(self.batch.held) and self.batch.held in self._store.ids("p")

    @property
    def is_due(self) -> bool:
        """Whether there is something to do now."""
        if not self.batch.items or self.is_held:
            return False
        return self.until is None or self._clock.now() >= self.until

    def begin(self, paths: Sequence[Path]) -> list[Path]:
        """Make a batch of files, and return those that have to wait for the next one."""
        items = [item for path in paths if (item := self._new(path)) is not None]
        if not items:
            return []
        kinds = [(item.asked, self._state.together(item, self._at_once)) for item in items]
        asked, most = kinds[0]
        mine = [item for item, kind in zip(items, kinds, strict=True) if kind == (asked, most)][:most]
        self._put(Batch(tuple(mine)))
        titles = [document.title for item in mine for document in item.documents]
        self._tell(
            Event("learning", f"{_files(mine)}: {shown(', '.join(titles), 120)}", {"paths": [i.path for i in mine]})
        )
        chosen = {item.path for item in mine}
        return [Path(item.path) for item in items if item.path not in chosen]

    def step(self) -> list[Path]:
        """Learn the batch, and return files of it that are to go again, since they changed or were too many."""
        batch, self.until = self.batch, None
        documents = _documents(batch.items)
        made = self._known.version_of(documents)
        if made is not None and all(map(self._is_settled, documents)):
            return self._settle(batch, made)  # By a process that was killed, or approved.
        if batch.held:
            self._end(batch, {document.sha256: self._known.rejection(documents) for document in documents})
            return []
        if any(self._changed(item) for item in batch.items):
            self._put(Batch())
            return batch.paths
        try:
            result = self._teacher.learn(batch.paths)
        except LimitError as error:
            if error.until is None:
                return self._failed(batch, str(error))
            self.until = max(error.until, self._clock.now() + _AGAIN)
            self._tell(Event("waiting", str(error), {"until": self.until.isoformat(), "paths": _paths(batch)}))
            return []
        except UserError as error:
            self._teacher.check()
            return self._failed(batch, str(error))
        except Exception as error:  # What is wrong with one document does not stop the others.
            return self._failed(batch, f"internal error: {type(error).__name__}: {error}")
        return self._take(batch, result)

    def feedback(self, said: Said) -> None:
        """Pass on what somebody said."""
        try:
            self._teacher.feedback(said.fields)
        except ValueError as error:
            where, why = f"line {said.number}", f"it is no feedback: {error}"
            self.set_aside(self._state.inbox.aside(sha256(said.line), where, shown(why), said.line))
        else:
            self._tell(Event("feedback", shown(said.fields.get("question", ""), 120), {"line": said.number}))

    def set_aside(self, aside: Aside) -> None:
        """Keep something that cannot be learnt, with the reason, and say so once."""
        before = self._state.aside(aside.key)
        if before is not None and (before.where, before.why) == (aside.where, aside.why):
            return
        self._state.set_aside(replace(aside, time=self._clock.now().isoformat(timespec="seconds")))
        self.asides += 1
        self._tell(Event("aside", f"{aside.where}: {aside.why}", {"where": aside.where, "why": aside.why}))

    def _new(self, path: Path) -> Item | None:
        """A file that is to be learnt; None where nothing in it is, and the reason was kept."""
        try:
            item = read_item(path, self._store.path)
        except UserError as error:
            self.said.pop(str(path), None)
            if path.exists():
                self.set_aside(unreadable(path, str(error)))
            return None
        self.said[item.path] = {document.sha256 for document in item.documents}
        if all(map(self._is_settled, item.documents)):
            if all(map(self._is_done, item.documents)):
                self._state.inbox.done(path)
            return None
        return item

    def _is_settled(self, document: DocumentRef) -> bool:
        return self._is_done(document) or self._state.aside(document.sha256) is not None

    def _is_done(self, document: DocumentRef) -> bool:
        if self._known.is_active(document):
            return True
        return self._known.is_learnt(document) and not self._state.forgotten(document.path, document.sha256)

    def _changed(self, item: Item) -> bool:
        try:
            return read_item(Path(item.path), self._store.path).documents != item.documents
        except UserError:
            return True

    def _take(self, batch: Batch, result: LearnResult) -> list[Path]:
        """What comes of a result."""
        if result.version is not None:
            return self._settle(batch, result.version, result)
        if result.pending is not None:
            self._put(replace(batch, held=result.pending.id))
            text = f"{_files(batch.items)} as {result.pending.id}: selfedit pending {result.pending.id}"
            self._tell(Event("held", text, {"pending": result.pending.id, "paths": _paths(batch)}))
            return []
        flagged = _flagged(result)
        left = [document for document in _documents(batch.items) if document.sha256 not in flagged]
        if all(map(self._is_done, left)):
            self._end(batch, flagged)
            return []
        before, after = ([a.verdict.correct for e in each for a in e.answers] for each in (result.before, result.after))
        diverged = not after and any(rollout.kept for rollout in result.rollouts)
        got_better = any(new and not old for old, new in zip(before, after, strict=False))
        return self._failed(batch, result.reason, flagged, diverged or got_better)

    def _failed(
        self, batch: Batch, why: str, flagged: dict[str, str] | None = None, hopeful: bool = True
    ) -> list[Path]:
        """Try the halves of a batch, so that one document does not stop the others; of a single one keep the reason.

        Args:
            hopeful: whether a part of it may do better.
        """
        if len(batch.items) > 1 and hopeful:
            half = math.ceil(len(batch.items) / 2)
            self._state.part(batch.items, half)
            self._put(Batch())
            self._tell(Event("parted", f"{_files(batch.items)}, {half} at once: {shown(why)}", {"why": shown(why)}))
            return batch.paths
        reasons = {document.sha256: shown(why) for document in _documents(batch.items)}
        self._end(batch, reasons | (flagged or {}))
        return []

    def _settle(self, batch: Batch, version: Version, result: LearnResult | None = None) -> list[Path]:
        """A version came of a batch. What it does not know of it is set aside."""
        flagged = _flagged(result) if result is not None else {}
        learnt = {document.sha256 for document in version.knowledge.documents}
        offered = {document.sha256 for document in version.documents}
        documents = _documents(batch.items)
        new = [document for document in documents if document.sha256 in learnt & offered]
        for document in new:
            self._state.set_forgotten(document.path, "")
        self.learnt += len(new)
        said = {
            "version": version.id,
            "documents": [document.sha256 for document in new],
            "titles": [document.title for document in new],
            "base_accuracy": version.base_accuracy if version.questions else None,
            "adapted_accuracy": version.adapted_accuracy if version.questions else None,
            "seconds": round(version.seconds, 2),
        }
        self._tell(Event("learnt", f"{len(new)} documents, version {version.id}", said))
        # One that changed meanwhile comes again by itself.
        unused = {d.sha256: _UNUSED for d in documents if d.sha256 in offered - learnt}
        left = [item for item in batch.items if not _is_in(item, offered | set(flagged), self._known)]
        self._end(batch, unused | flagged)
        return [Path(item.path) for item in left]

    def _end(self, batch: Batch, reasons: dict[str, str]) -> None:
        """Set aside what there is a reason for, and be done with the batch."""
        for item in batch.items:
            for document in item.documents:
                if document.sha256 in reasons and not self._known.is_active(document):
                    where, why = shown(item.path), reasons[document.sha256]
                    self.set_aside(Aside(document.sha256, where, why, document.title))
        self._put(Batch())
        for item in batch.items:
            if all(map(self._is_done, item.documents)) and not any(d.sha256 in reasons for d in item.documents):
                self._state.inbox.done(Path(item.path))

    def _put(self, batch: Batch) -> None:
        self._state.batch = batch


def _is_in(item: Item, hashes: set[str], known: Known) -> bool:
    return all(document.sha256 in hashes or known.is_active(document) for document in item.documents)


def _documents(items: Sequence[Item]) -> list[DocumentRef]:
    return [document for item in items for document in item.documents]


def _flagged(result: LearnResult) -> dict[str, str]:
    """Why documents wait for a person, by their hashes."""
    reasons: dict[str, str] = {}
    for flag in result.flags:
        if flag.path:
            reasons.setdefault(flag.where, f"flagged, {flag.kind}: {flag.why}: {flag.excerpt}")
    return reasons


def _files(items: Sequence[Item]) -> str:
    return f"{len(items)} file{'s' if len(items) != 1 else ''}"


def _paths(batch: Batch) -> list[str]:
    return [item.path for item in batch.items]
