"""A teacher that needs no model, a clock that waits for nobody, and a source that a test writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from selfedit.documents import read_documents
from selfedit.learn.prepare import known_as
from selfedit.learn.run import LearnResult
from selfedit.store import Store
from selfedit.stream.base import Arrival, Clock, Event, Source
from selfedit.stream.batcher import Batcher
from selfedit.stream.deleted import Deleted
from selfedit.stream.learner import Learner
from selfedit.stream.state import State
from selfedit.stream.stream import Stream
from selfedit.types import DocumentRef, Knowledge, Learnt, Task, Version
from tests.store.make import make_adapter, make_version


class SteppedClock(Clock):
    """Goes on only when somebody waits."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.began = datetime.now(timezone.utc)

    def now(self) -> datetime:
        return self.began + timedelta(seconds=self.at - 1000)

    def seconds(self) -> float:
        return self.at


class Scripted(Source):
    """Gives one after another what it is told, and ends."""

    name = "a script"

    def __init__(self, clock: SteppedClock, *steps: Sequence[Arrival] | Callable[[], object]) -> None:
        self._clock, self._steps = clock, list(steps)

    def poll(self, seconds: float) -> Sequence[Arrival]:
        self._clock.at += max(seconds, 0.01)
        step: Any = self._steps.pop(0) if self._steps else ()
        self.ended = not self._steps
        return step if not callable(step) else (step() or ())


class StoreTeacher:
    """Commits a version of what it is given, into a store that is real; what its `faults` say of a title is raised."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.faults: dict[str, Callable[[], LearnResult | None]] = {}
        self.batches: list[list[str]] = []
        self.said: list[Mapping[str, Any]] = []

    def learn(self, paths: Sequence[Path]) -> LearnResult:
        documents = read_documents([*paths])
        titles = [document.title for document in documents]
        self.batches.append(titles)
        for title in titles:
            if title in self.faults and (result := self.faults[title]()) is not None:
                return result
        references = [DocumentRef(known_as(d.path, self.store.path), d.title, d.sha256) for d in documents]
        active = self.store.active
        before = self.store.get(active).knowledge.learnt if active is not None else ()
        adapter = self.store.put_adapter(make_adapter(), "tiny")
        learnt = [
            Learnt(each, Task(f"{each.sha256[:12]}.p0", each.title, each.title), (), adapter=adapter)
            for each in references
        ]
        kept = [item for item in before if item.document.path not in {each.path for each in references}]
        knowledge = Knowledge("routed", (*kept, *learnt))
        version = replace(
            make_version(), documents=tuple(references), knowledge=knowledge, parent=active, rejected="", flags=()
        )
        made = self.store.commit(version)
        if made.id.startswith("p"):
            return result_of(None, "it waits", pending=made)
        return result_of(made, "")

    def forget(self, document: str) -> str:
        version = self.store.get()
        left = tuple(item for item in version.knowledge.learnt if not item.document.sha256.startswith(document))
        gone = tuple(item.document for item in version.knowledge.learnt if item not in left)
        knowledge = replace(version.knowledge, learnt=left)
        made = replace(version, action="forget", documents=gone, knowledge=knowledge, parent=version.id)
        return self.store.commit(made).id

    def feedback(self, fields: Mapping[str, Any]) -> None:
        if "answer" not in fields:
            raise ValueError("no answer")
        self.said.append(fields)

    def check(self) -> None:
        self.store.ensure_writable()


def result_of(version: Version | None, reason: str, **more: Any) -> LearnResult:
    return replace(LearnResult(version, reason, (), (), "documents", 0, (), (), 0.0), **more)


class Bench:
    """A stream in a folder, with all that it is made of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.docs = folder / "docs"
        self.docs.mkdir(exist_ok=True)
        self.store = Store.open(folder / "store", create=True)
        self.clock = SteppedClock()
        self.teacher = StoreTeacher(self.store)
        self.events: list[Event] = []

    def write(self, name: str, text: str | None = None) -> Path:
        path = self.docs / f"{name}.md"
        path.write_text(f"# {name}\n\n{text or name}\n")
        return path

    def run(
        self,
        make: Source | Callable[[State], Source],
        at_once: int = 16,
        settle: float = 5.0,
        forget: bool = False,
        missing: Path | None = None,
    ) -> None:
        state = State(self.store.path)
        try:
            source = make if isinstance(make, Source) else make(state)
            learner = Learner(self.teacher, self.store, state, self.clock, self.events.append, at_once)
            deleted = Deleted(self.teacher, self.store, state, self.events.append, forget)
            if missing is not None:
                deleted.add_missing(missing)
            batcher = Batcher(settle, at_once)
            Stream(source, batcher, learner, deleted, self.clock, self.events.append, lambda _: None).run()
        finally:
            state.close()

    def told(self, kind: str) -> list[str]:
        return [event.text for event in self.events if event.kind == kind]

    @property
    def known(self) -> list[str]:
        active = self.store.active
        return sorted(item.document.title for item in self.store.get(active).knowledge.learnt) if active else []
