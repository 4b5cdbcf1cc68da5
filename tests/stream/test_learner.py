"""Each document is learnt once, or set aside with the reason, whatever the others do."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.learn.run import LearnResult
from selfedit.rules import LimitError
from selfedit.store import approve, reject
from selfedit.stream.base import Changed, Gone
from selfedit.stream.state import State, read_asides
from selfedit.types import CORRECTIONS, DocumentRef, Task
from tests.stream.make import Bench, Scripted


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def come(bench: Bench, *names: str) -> Scripted:
    return Scripted(bench.clock, [Changed(bench.write(name), whole=True) for name in names])


def test_learns_in_batches_and_once(bench: Bench) -> None:
    names = [f"doc{n}" for n in range(5)]
    for _ in range(2):  # Begun again, it finds everything done.
        bench.run(come(bench, *names), at_once=2)
    assert [len(batch) for batch in bench.teacher.batches] == [2, 2, 1]
    assert bench.known == names


def test_changed_takes_the_place_and_what_was_rolled_back_stays_so(bench: Bench) -> None:
    bench.run(come(bench, "a", "b"))
    path = bench.write("a", "another text")
    bench.run(Scripted(bench.clock, [Changed(path)]))
    assert bench.teacher.batches == [["a", "b"], ["a"]] and bench.known == ["a", "b"]
    bench.store.activate("v1", "rollback")
    bench.run(Scripted(bench.clock, [Changed(path)]))
    assert len(bench.teacher.batches) == 2
    bench.store.activate("v2", "use")
    bench.run(come(bench, "a"))  # Its first text is back, which the active version does not know.
    assert len(bench.teacher.batches) == 3


def test_one_that_cannot_be_learnt_does_not_stop_the_others(bench: Bench) -> None:
    def fault() -> LearnResult:
        raise UserError("Too long a title.")

    def crash() -> LearnResult:
        raise RuntimeError("no such kernel")

    bench.teacher.faults = {"doc3": fault, "doc5": crash}
    bench.run(come(bench, *(f"doc{n}" for n in range(8))), at_once=8)
    assert bench.known == [f"doc{n}" for n in (0, 1, 2, 4, 6, 7)]
    asides = {aside.title: aside.why for aside in read_asides(bench.store.path)}
    assert asides == {"doc3": "Too long a title.", "doc5": "internal error: RuntimeError: no such kernel"}
    tried = len(bench.teacher.batches)
    bench.run(come(bench, "doc3", "doc5"))
    assert len(bench.teacher.batches) == tried
    bench.teacher.faults = {}
    state = State(bench.store.path)
    (aside,) = state.retry([next(each.key for each in read_asides(bench.store.path) if each.title == "doc3")[:12]])
    state.close()
    bench.run(come(bench, "doc3", "doc5"))
    assert aside.title == "doc3" and "doc3" in bench.known and "doc5" not in bench.known


def test_a_fault_around_documents_ends_it_and_nothing_is_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> LearnResult:
        raise UserError("The disk ran full.")

    bench.teacher.faults = {"a": full}
    monkeypatch.setattr(bench.teacher, "check", full)
    with pytest.raises(UserError, match="ran full"):
        bench.run(come(bench, "a", "b"))
    assert not read_asides(bench.store.path)
    bench.teacher.faults = {}
    bench.run(Scripted(bench.clock))  # The batch is still there.
    assert bench.known == ["a", "b"]


def test_waits_for_a_limit_and_says_so(bench: Bench) -> None:
    hits = [1, 1]

    def limit() -> LearnResult | None:
        if not hits:
            return None
        hits.pop()
        raise LimitError("No update now.", bench.clock.now() + timedelta(minutes=10))

    bench.teacher.faults = {"a": limit}
    began = bench.clock.at
    bench.run(come(bench, "a", "b"))
    assert bench.told("waiting") == ["No update now."] * 2 and bench.known == ["a", "b"]
    assert 1200 <= bench.clock.at - began < 1230
    assert bench.teacher.batches == [["a", "b"]] * 3  # The same batch, so that its work is found again.


def test_what_the_rules_never_allow_is_set_aside(bench: Bench) -> None:
    def never() -> LearnResult:
        raise LimitError("Not from this folder.")

    bench.teacher.faults = {"a": never}
    bench.run(come(bench, "a", "b"))
    assert bench.known == ["b"] and [aside.why for aside in read_asides(bench.store.path)] == ["Not from this folder."]


def test_approval_is_waited_for(bench: Bench) -> None:
    bench.store.set_rules(b"approval: always\n", "rules")
    bench.run(come(bench, "a"))
    assert bench.known == [] and len(bench.told("held")) == 1
    # Other documents wait: what is approved has to lie on top of what is active.
    bench.run(
        Scripted(bench.clock, [Changed(bench.write("b"), whole=True)], (), lambda: approve(bench.store, "p1") and ())
    )
    assert bench.known == ["a"] and bench.teacher.batches == [["a"], ["b"]]
    reject(bench.store, "p2", "it is wrong")
    bench.run(Scripted(bench.clock))
    (aside,) = read_asides(bench.store.path)
    assert aside.title == "b" and aside.why.startswith("rejected by ") and aside.why.endswith(": it is wrong")


def test_deleted_files(bench: Bench) -> None:
    bench.run(come(bench, "a", "b", "c"))
    for name in "ab":
        (bench.docs / f"{name}.md").unlink()
    moved = bench.docs / "moved.md"
    (bench.docs / "c.md").rename(moved)
    gone = [Gone(bench.docs / f"{name}.md") for name in "abc"]
    bench.run(Scripted(bench.clock, [*gone, Changed(moved)]))
    assert bench.known == ["a", "b", "c"] and len(bench.told("deleted")) == 2
    bench.run(Scripted(bench.clock, [*gone, Changed(moved)]), forget=True)
    assert bench.known == ["c"]
    # A file that is back is new; one that a person forgot by hand is not.
    bench.run(come(bench, "a"), forget=True)
    assert bench.known == ["a", "c"]
    sha256 = next(item.document.sha256 for item in bench.store.get().knowledge.learnt if item.document.title == "a")
    bench.teacher.forget(sha256)
    bench.run(come(bench, "a"))
    assert bench.known == ["c"]


def test_what_went_while_nobody_looked_is_forgotten_and_corrections_stay(bench: Bench) -> None:
    bench.run(come(bench, "a", "b"))
    version = bench.store.get()
    path = f"{CORRECTIONS}f1"
    said = DocumentRef(path, "Who?", hashlib.sha256(path.encode()).hexdigest())
    correction = replace(version.knowledge.learnt[0], document=said, task=Task("f1.p0", "Who?", "Odo"))
    knowledge = replace(version.knowledge, learnt=(*version.knowledge.learnt, correction))
    bench.store.commit(replace(version, knowledge=knowledge, parent=version.id))
    (bench.docs / "a.md").unlink()
    # The store's home, which paths of documents are told from, has no file of the correction's name.
    bench.run(Scripted(bench.clock), forget=True, missing=bench.store.home)
    assert bench.known == ["Who?", "b"]


def test_unreadable_files_are_set_aside_until_they_change(bench: Bench) -> None:
    path = bench.docs / "x.md"
    path.write_bytes(b"\0\1\2")
    empty = bench.docs / "empty.md"
    empty.write_text("")
    source = [Changed(path, whole=True), Changed(empty, whole=True), Changed(bench.docs / "none.md", whole=True)]
    for _ in range(2):
        bench.run(Scripted(bench.clock, source))
    assert ["binary" in text or "empty" in text for text in bench.told("aside")] == [True, True]
    path.write_text("# X\n\nA text.\n")
    bench.run(Scripted(bench.clock, source))
    assert bench.known == ["X"]


def test_one_stream_a_store(bench: Bench) -> None:
    state = State(bench.store.path)
    with pytest.raises(UserError, match="Another selfedit"):
        State(bench.store.path)
    state.close()
