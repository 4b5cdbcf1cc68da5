"""One document after another in one store: what each memory makes of it, and what it must never touch."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from selfedit.errors import UserError
from selfedit.files.peft_folder import ADAPTER_FILE
from selfedit.learn.config import learn_config
from selfedit.learn.update import Candidate, Updater
from selfedit.memory import MEMORIES
from selfedit.search.training import is_sound
from selfedit.session import Session
from selfedit.store import Store
from selfedit.types import Knowledge
from tests.lineage import FACTS, NEVER, SETTINGS, TRAINING, Library, adapters, answers
from tests.store.make import contents

ALL = tuple(MEMORIES)
HELD = {"routed": 2, "joint": 1, "replay": 1, "merge": 2}
"""Adapters of two documents learnt one after another."""


def titles(knowledge: Knowledge) -> list[str]:
    return [item.task.title for item in knowledge.learnt]


@pytest.mark.parametrize("memory", ALL)
def test_one_document_after_another(library: Library, memory: str) -> None:
    session = library.session()
    first = library.learnt(session, "lamp", memory=memory)
    second = library.learnt(session, "bird")  # In the memory that the store is in.
    assert (first.parent, second.parent) == (None, "v1")
    assert [version.knowledge.memory for version in (first, second)] == [memory] * 2
    assert titles(second.knowledge) == ["Marrowfen", "Veskara"]
    assert [item.version for item in second.knowledge.learnt] == ["v1", "v2"]
    assert len(second.knowledge.adapters) == HELD[memory]
    assert [document.title for document in second.documents] == ["Veskara"]  # What is new in it.
    assert (first.scale, first.rejected) == (1.0, "")
    replies = [session.ask(FACTS[name].question) for name in ("lamp", "bird")]
    assert [reply.version for reply in replies] == ["v2", "v2"]
    routed = [FACTS["lamp"].title, FACTS["bird"].title]
    assert [reply.source for reply in replies] == (routed if memory == "routed" else [None, None])
    assert session.store.active == "v2"
    session.store.check_adapter(second)


@pytest.mark.parametrize("memory", ALL)
def test_a_document_that_changed_replaces_what_it_said(library: Library, memory: str) -> None:
    session = library.session()
    library.learnt(session, "lamp", memory=memory)
    before = library.learnt(session, "bird")
    path = library.document("lamp", "The lamp of Marrowfen is oiled by Tamsin Orle.")
    questions = library.questions("lamp", answer="Tamsin Orle")
    version = session.learn([path], **(SETTINGS | {"questions": questions})).version
    assert version is not None
    assert [item.task.passage for item in version.knowledge.learnt] == [
        FACTS["bird"].text,
        "The lamp of Marrowfen is oiled by Tamsin Orle.",
    ]
    assert version.knowledge.learnt[0].version == "v2"
    assert adapters(version)["Marrowfen"] != adapters(before)["Marrowfen"]
    # A memory whose adapters depend on each other trains anew what is left; a routed one keeps it.
    assert (adapters(version)["Veskara"] == adapters(before)["Veskara"]) == (memory == "routed")


def test_the_nth_learn_touches_no_earlier_adapter(library: Library) -> None:
    session = library.session()
    library.learnt(session, "lamp")
    kept: dict[str, str] = {}
    for number, name in enumerate(("bird", "port", "kite"), 2):
        before = contents(session.store.path / "adapters")
        assert len({path.partition("/")[0] for path in before}) == number - 1
        version = library.learnt(session, name)
        assert contents(session.store.path / "adapters").items() > before.items()
        assert adapters(version).items() > kept.items()
        kept = adapters(version)
    # And the order in which they were learnt does not show in any of them.
    other = library.session("other")
    for name in ("kite", "bird"):
        library.learnt(other, name)
    assert adapters(other.show()).items() < kept.items()


@pytest.mark.parametrize("memory", ALL)
def test_forget(library: Library, memory: str) -> None:
    session = library.session()
    for name in ("lamp", "bird", "port"):
        library.learnt(session, name, memory=memory)
    change = session.forget("bird.md", final_training=TRAINING)
    version = change.version
    assert version is not None
    assert (version.id, version.parent, version.action, session.store.active) == ("v4", "v3", "forget", "v4")
    assert titles(version.knowledge) == ["Marrowfen", "Pigeonpost"]
    assert [document.title for document in version.documents] == ["Veskara"]
    assert version.knowledge.memory == memory
    assert session.ask(FACTS["port"].question).version == "v4"
    never = library.session("never")
    for name in ("lamp", "port"):
        library.learnt(never, name, memory=memory)
    if memory in ("routed", "joint"):
        assert adapters(version) == adapters(never.show())
    else:  # What is left is trained together, where it was learnt one after another.
        assert len(version.knowledge.adapters) == 1
        assert not set(version.knowledge.adapters) & set(session.show("v3").knowledge.adapters)
    # It can be learnt again, and the version before still knows it.
    assert titles(library.learnt(session, "bird").knowledge) == ["Marrowfen", "Pigeonpost", "Veskara"]
    assert titles(session.show("v3").knowledge) == ["Marrowfen", "Veskara", "Pigeonpost"]


@pytest.mark.parametrize("memory", ALL)
def test_forgetting_all_leaves_the_base(library: Library, memory: str) -> None:
    session = library.session()
    library.learnt(session, "lamp", memory=memory)
    version = session.forget("Marrowfen", final_training=TRAINING).version
    assert version is not None
    assert version.knowledge == Knowledge(memory)
    question = FACTS["lamp"].question
    assert session.ask(question).answer == session.ask(question, base=True).answer
    again = library.learnt(session, "lamp")
    assert (again.parent, adapters(again)) == ("v2", adapters(session.show("v1")))


def test_forgetting_names_what_is_known(library: Library) -> None:
    session = library.session()
    library.learnt(session, "lamp", "bird")
    with pytest.raises(UserError, match=r"No document 'lam\.md' is known\. Did you mean 'lamp\.md'\?"):
        session.forget("lam.md")
    document = session.show().documents[0]
    for name in (document.title, document.path, "lamp.md", document.sha256[:12]):
        session.use("v1")
        change = session.forget(name)
        assert change.version is not None
        assert titles(change.version.knowledge) == ["Veskara"]


def test_forgetting_one_of_two_documents_of_a_title(library: Library) -> None:
    session = library.session()
    paths = [library.document("lamp"), library.document("bird").rename(library.folder / "two.md")]
    paths[1].write_text(paths[1].read_text().replace("Veskara", "Marrowfen"))
    assert session.learn(paths, **(SETTINGS | {"questions": library.questions("lamp"), "keep_untested": True})).version
    with pytest.raises(UserError, match=r"Several documents are 'Marrowfen': .*lamp\.md \(\w{12}\), .*two\.md"):
        session.forget("Marrowfen")
    change = session.forget("two.md")
    assert change.version is not None
    # As seen from the folder that the store is in.
    assert [document.path for document in change.version.knowledge.documents] == [paths[0].name]


@pytest.mark.parametrize(("old", "new"), [("routed", "joint"), ("joint", "routed"), ("replay", "merge")])
def test_another_memory_on_top_converts_what_is_known(library: Library, old: str, new: str) -> None:
    session = library.session()
    library.learnt(session, "lamp", memory=old)
    version = library.learnt(session, "bird", memory=new)
    assert version.knowledge.memory == new
    assert titles(version.knowledge) == ["Marrowfen", "Veskara"]
    assert len(version.knowledge.adapters) == HELD[new]
    if new in ("routed", "joint"):
        straight = library.session("straight")
        for name in ("lamp", "bird"):
            library.learnt(straight, name, memory=new)
        assert adapters(version) == adapters(straight.show())


@pytest.mark.parametrize("memory", [name for name in ALL if name != "routed"])
def test_consolidate(library: Library, memory: str) -> None:
    session = library.session()
    for name in ("lamp", "bird"):
        library.learnt(session, name)
    version = session.consolidate(memory, gates=(), final_training=TRAINING).version
    assert version is not None
    assert (version.id, version.parent, version.action) == ("v3", "v2", "consolidate")
    assert len(version.knowledge.adapters) == 1
    assert titles(version.knowledge) == ["Marrowfen", "Veskara"]
    assert [item.version for item in version.knowledge.learnt] == ["v1", "v2"]
    assert session.ask(FACTS["lamp"].question).version == "v3"
    joint = library.session("joint")
    for name in ("lamp", "bird"):
        library.learnt(joint, name, memory="joint")
    assert version.knowledge.adapters == joint.show().knowledge.adapters
    if memory != "merge":
        with pytest.raises(UserError, match=f"Version v3 is in the memory '{memory}' already"):
            session.consolidate(memory)


def test_consolidating_nothing(library: Library) -> None:
    session = library.session()
    library.learnt(session, "lamp")
    session.forget("lamp.md")
    with pytest.raises(UserError, match="Version v2 knows nothing that could be consolidated"):
        session.consolidate()


def test_what_a_gate_rejects_is_kept_aside_and_never_active(library: Library) -> None:
    session = library.session()
    library.learnt(session, "lamp")
    result = library.learn(session, "bird", gates=(NEVER,))
    assert (result.version, result.reason) == (None, "nothing is let through")
    assert result.rejected is not None
    assert (result.rejected.id, result.rejected.parent, session.store.active) == ("r1", "v1", "v1")
    assert result.rejected.rejected == "nothing is let through"
    assert [(figure.gate, figure.passed, figure.text) for figure in result.rejected.gates] == [
        ("never", False, "0 of 0")
    ]
    session.store.check_adapter(result.rejected)
    assert session.store.ids() == ["v1"]
    with pytest.raises(UserError, match="r1 was rejected, and is never active"):
        session.use("r1")
    assert session.ask(FACTS["bird"].question).version == "v1"
    assert library.learnt(session, "bird").id == "v2"  # And it can be tried again.
    change = session.consolidate(gates=(NEVER,), final_training=TRAINING)
    assert change.version is None and change.rejected is not None
    assert (change.rejected.id, change.rejected.action, session.store.active) == ("r2", "consolidate", "v2")
    assert session.show("r2").rejected == change.reason == "nothing is let through"


def test_a_rejected_update_is_tried_weaker(library: Library) -> None:
    session = library.session()
    library.learnt(session, "lamp", memory="joint")
    strong = library.learnt(session, "bird", gates=("divergence",), margins={"divergence": 100.0})
    (figure,) = strong.gates
    divergence = float(figure.text.split()[0])
    assert strong.scale == 1 and divergence > 0
    session.use("v1")
    held = library.learnt(session, "bird", gates=("divergence",), margins={"divergence": divergence / 2}, again=True)
    assert 0 < held.scale < 1
    assert held.adapter_sha256 != strong.adapter_sha256
    assert float(held.gates[0].text.split()[0]) <= divergence / 2 and held.gates[0].passed
    # It is the strong one, with the B of each layer smaller.
    load = session.store.adapters.load
    weak, full = load(held.adapter_sha256), load(strong.adapter_sha256)
    for name, pair in weak.factors.items():
        assert torch.equal(pair.a_RI, full.factors[name].a_RI)
        assert torch.equal(pair.b_OR, full.factors[name].b_OR * held.scale)
    refused = library.learn(session, "port", gates=("divergence",), margins={"divergence": 0.0})
    assert refused.version is None and "changes how plain texts go on" in refused.reason


@pytest.mark.parametrize("memory", ALL)
def test_weaker(library: Library, memory: str) -> None:
    session = library.session()
    first = library.learnt(session, "lamp", memory=memory).knowledge
    second = library.learnt(session, "bird").knowledge
    config = learn_config(**SETTINGS | {"memory": memory})
    with session._updating(config, "test") as updater:
        made = updater.memory(memory)
        weak = made.weaker(first, second, 0.5)
        none = made.weaker(first, second, 0.0)
    assert titles(weak) == titles(second)
    store = session.store.adapters
    for before, half, nothing in zip(second.adapters, weak.adapters, none.adapters, strict=True):
        if before in first.adapters:  # What was there before keeps its strength.
            assert before == half == nothing
            continue
        assert len({before, half, nothing}) == 3
        old = store.load(first.adapters[0]) if memory == "replay" else None
        for name, pair in store.load(half).factors.items():
            full, start = store.load(before).factors[name], old.factors[name] if old else None
            expected = start.b_OR.lerp(full.b_OR, 0.5) if start else full.b_OR * 0.5
            assert torch.equal(pair.b_OR, expected)
        empty = store.load(nothing).factors
        for name, pair in empty.items():
            assert torch.equal(pair.b_OR, old.factors[name].b_OR) if old else not pair.b_OR.any()


def test_consolidating_weaker_is_held_against_what_was_known(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """A weaker adapter for all has to pass the same gates as a strong one, those on what was learnt before too."""
    session = library.session()
    for name in ("lamp", "bird"):
        library.learnt(session, name)
    asked: list[tuple[bool, int]] = []
    judged = Updater.judged

    def watched(self: Updater, parent: Knowledge, *arguments: Any) -> Candidate:
        candidate = judged(self, parent, *arguments)
        asked.append((bool(parent.learnt), sum(figure.gate == "retained" for figure in candidate.figures)))
        return candidate

    monkeypatch.setattr(Updater, "judged", watched)
    session.consolidate(gates=("retained", NEVER), final_training=TRAINING)
    assert len(asked) > 1
    assert asked == [(True, 1)] * len(asked)


def test_a_passage_that_diverged_is_left_out(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    session = library.session()
    lamp = _task(library, "lamp")
    # Real divergence of one of two takes a model that overflows on one passage alone.
    monkeypatch.setattr(
        "selfedit.learn.update.is_sound", lambda made: is_sound(made) and made.recipe_id.startswith(lamp)
    )
    version = library.learnt(session, "lamp", "bird")
    assert titles(version.knowledge) == ["Marrowfen"]
    assert session.ask(FACTS["bird"].question).source is None
    monkeypatch.undo()
    # It is not known, so that it is learnt when it is given again.
    result = library.learn(session, "lamp", "bird", again=False)
    assert result.version is not None and result.known == ("Marrowfen",)
    assert titles(result.version.knowledge) == ["Marrowfen", "Veskara"]


def _task(library: Library, name: str) -> str:
    """How the ids of a document's passages begin."""
    return hashlib.sha256(library.document(name).read_bytes()).hexdigest()[:12]


@pytest.mark.parametrize("memory", ALL)
def test_training_that_diverges_altogether_commits_nothing(library: Library, memory: str) -> None:
    session = library.session()
    library.learnt(session, "lamp", memory=memory)
    result = library.learn(session, "bird", final_training=TRAINING | {"learning_rate": 1e30, "epochs": 6})
    assert result.version is None and "diverged" in result.reason
    assert session.store.ids() == ["v1"] and session.store.active == "v1"


@pytest.mark.parametrize("memory", ALL)
def test_another_session_that_was_faster_is_gone_on_from(
    library: Library, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, other = library.session(), library.session()
    library.learnt(session, "lamp", memory=memory)
    learn = Updater.learn
    seen: list[list[str]] = []

    def slow(self: Updater, name: str, parent: Knowledge, new: Sequence[Any], *rest: Any) -> Candidate:
        seen.append(titles(parent))
        candidate = learn(self, name, parent, new, *rest)
        if len(seen) == 1:
            with monkeypatch.context() as patch:
                patch.setattr(Updater, "learn", learn)
                library.learnt(other, "port")
        return candidate

    monkeypatch.setattr(Updater, "learn", slow)
    version = library.learnt(session, "bird")
    assert seen == [["Marrowfen"], ["Marrowfen", "Pigeonpost"]]
    assert (version.id, version.parent) == ("v3", "v2")
    assert titles(version.knowledge) == ["Marrowfen", "Pigeonpost", "Veskara"]
    assert session.store.active == "v3"


def test_a_version_that_was_named_is_gone_on_from_whatever_is_active(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = library.session()
    library.learnt(session, "lamp")
    library.learnt(session, "bird")
    branch = library.learnt(session, "port", parent="v1")
    assert (branch.parent, titles(branch.knowledge)) == ("v1", ["Marrowfen", "Pigeonpost"])
    fresh = library.learnt(session, "kite", parent="base")
    assert (fresh.parent, titles(fresh.knowledge), session.store.active) == (None, ["Hobden"], "v4")
    with pytest.raises(UserError, match="There is no version 'v9'"):
        library.learn(session, "kite", parent="v9")


def _learn_alone(folder: Path, model: Path, name: str, settings: dict[str, Any]) -> None:
    """In a process of its own."""
    Library(folder, model).learnt(Session(str(model), folder / "store", "cpu"), name, **settings)


def test_two_processes_learn_at_once(library: Library) -> None:
    library.learnt(library.session(), "lamp")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "peft", "transformers.models.llama", "selfedit.learn.start"])
    processes = [
        context.Process(target=_learn_alone, args=(library.folder, library.model, name, {}))
        for name in ("bird", "port")
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    store = Store.open(library.folder / "store")
    versions = store.versions()
    assert [version.parent for version in versions] == [None, "v1", "v2"]
    assert set(titles(store.get().knowledge)) == {"Marrowfen", "Veskara", "Pigeonpost"}
    for version in versions:
        store.check_adapter(version)
    assert not [path for path in (store.path / "work").iterdir() if path.is_dir()]


def test_an_adapter_that_versions_share_is_stored_once(library: Library) -> None:
    session = library.session()
    for name in ("lamp", "bird"):
        library.learnt(session, name)
    session.forget("bird.md")
    hashes = {sha256 for version in session.versions() for sha256 in version.knowledge.adapters}
    stored = list((session.store.path / "adapters").iterdir())
    assert {path.name for path in stored} == hashes and len(hashes) == 2
    assert all((path / ADAPTER_FILE).is_file() for path in stored)


def test_answers_of_a_version_are_its_adapters(library: Library, base: Any) -> None:
    """What `ask` says is what the generator says under the adapters of the version, put together by hand."""
    from selfedit.generate.base import Request
    from selfedit.types import Model

    for memory in ALL:
        session = library.session(memory)
        for name in ("lamp", "bird"):
            library.learnt(session, name, memory=memory)
        version = session.show()
        load = session.store.adapters.load
        bare = Model(base.ref)
        for item in version.knowledge.learnt:
            model = bare
            if memory == "merge":
                for sha256 in version.knowledge.adapters:
                    model = model.merge(load(sha256))
            else:
                model = bare.with_update(load(item.adapter))
            question = next(fact.question for fact in FACTS.values() if fact.title == item.task.title)
            topic = item.task.title if memory == "routed" else ""
            request = Request(session.domain.ask(question, topic), model, 8, stop=("\n",))
            (completion,) = session._generator.generate([request])
            assert session.ask(question, max_new_tokens=8).answer == completion.text.strip()


def test_the_users_own_questions_are_asked_anew_when_their_file_changes(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers to questions of --keep that an interrupted run recorded are those to these very questions."""
    session = library.session()
    library.learnt(session, "lamp", memory="joint")
    keep = library.folder / "keep.jsonl"
    for answer in ("October", "November"):
        keep.write_text(json.dumps({"question": FACTS["kite"].question, "answer": answer, "title": ""}) + "\n")

        def cut_off(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Store, "commit", cut_off)
            library.learn(session, "bird", keep=keep, gates=("keep",))
    (journal,) = session.store.path.glob("work/*/journal.jsonl")
    asked = [json.loads(line) for line in journal.read_text().splitlines()]
    graded = [row for row in asked if row["kind"] == "answers" and "keep0" in json.dumps(row)]
    assert len(graded) == 4  # Before and after, of each of the two files.


def test_answers_stay_alike_for_each_version(library: Library) -> None:
    session = library.session()
    given = {}
    for name in ("lamp", "bird", "port"):
        version = library.learnt(session, name)
        given[version.id] = answers(session)
    fresh = library.session()
    assert {id: answers(fresh, id) for id in given} == given
