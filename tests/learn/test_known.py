"""What is known already, what has to stay right, and what a run that was cut off near its end makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.learn.update import Updater
from selfedit.store import Store
from selfedit.store.lineage import Lineage
from tests.lineage import FACTS, SETTINGS, TRAINING, Library, adapters
from tests.store.make import contents


def cut_off(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def write_keep(library: Library, *answers: str) -> Path:
    path = library.folder / "keep.jsonl"
    rows = [{"question": FACTS["kite"].question, "answer": answer} for answer in answers]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_documents_that_are_known_as_they_are_are_left_out(library: Library) -> None:
    session = library.session()
    library.learnt(session, "lamp")
    before = contents(session.store.path)
    result = library.learn(session, "lamp")
    assert (result.version, result.known, result.tasks) == (None, ("Marrowfen",), ())
    assert result.reason == "nothing is new: all documents are known as they are; --again learns them anew"
    assert contents(session.store.path) == before
    both = library.learn(session, "lamp", "bird")
    assert both.version is not None and both.known == ("Marrowfen",)
    assert [document.title for document in both.version.documents] == ["Veskara"]
    assert [task.title for task in both.tasks] == ["Veskara"]


def test_known_is_what_the_version_gone_on_from_knows(library: Library) -> None:
    session = library.session()
    for name in ("lamp", "bird"):
        library.learnt(session, name)
    assert library.learn(session, "bird", parent="v2").version is None
    assert library.learnt(session, "bird", parent="v1").parent == "v1"
    assert library.learnt(session, "lamp", parent="base").parent is None


def test_a_document_is_known_by_its_bytes_wherever_it_lies(library: Library) -> None:
    session = library.session()
    library.learnt(session, "lamp")
    moved = library.document("lamp").rename(library.folder / "moved.md")
    settings = SETTINGS | {"questions": library.questions("lamp")}
    assert session.learn([moved], **settings).known == ("Marrowfen",)
    again = session.learn([moved], again=True, **settings).version
    assert again is not None
    assert [document.path for document in again.knowledge.documents] == [moved.name]  # Not twice.


def test_again_learns_it_anew(library: Library) -> None:
    session = library.session()
    first = library.learnt(session, "lamp")
    again = library.learnt(session, "lamp", again=True, seed=1)
    assert (again.id, again.parent) == ("v2", "v1")
    assert adapters(again).keys() == adapters(first).keys()
    assert adapters(again) != adapters(first)
    assert [item.version for item in again.knowledge.learnt] == ["v2"]


def test_what_must_stay_right(library: Library) -> None:
    """Trained anew as good as not at all, one adapter for all loses an answer; a routed one leaves it alone."""
    session = library.session()
    library.learnt(session, "lamp", memory="joint", final_training=TRAINING | {"learning_rate": 0.1, "epochs": 8})
    said = session.ask(FACTS["kite"].question, max_new_tokens=4).answer
    assert said
    barely: dict[str, Any] = {"gates": ("keep",), "final_training": TRAINING | {"learning_rate": 1e-4, "epochs": 1}}
    harmed = library.learn(session, "bird", keep=write_keep(library, said), **barely)
    assert harmed.version is None and harmed.rejected is not None
    assert harmed.reason == "the update forgets what is to stay right: 1 answers of 1 are no longer right"
    assert [(figure.gate, figure.passed) for figure in harmed.figures] == [("keep", False)]
    # An answer that was wrong before cannot be lost.
    wrong = write_keep(library, "never said by anybody")
    assert library.learnt(session, "bird", keep=wrong, **barely).gates[0].passed
    routed = library.session("routed")
    library.learnt(routed, "lamp")
    version = library.learnt(routed, "bird", keep=write_keep(library, said), gates=("keep",))
    (figure,) = version.gates
    assert figure.passed and "as many of 1 question right as before" in figure.text


def test_questions_to_keep_that_cannot_be_read(library: Library) -> None:
    session = library.session()
    (library.folder / "keep.jsonl").write_text('{"question": "a?"}\n')
    for keep, said in (("keep.jsonl", "keep.jsonl, line 1: "), ("nope.jsonl", "There is no file .*nope.jsonl")):
        with pytest.raises(UserError, match=said):
            library.learn(session, "lamp", keep=library.folder / keep)
    assert not (library.folder / "store").exists()


def test_cut_off_while_it_is_committed(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the version's folder and its activation: it is there, not active, and going on makes it so."""
    session = library.session()
    library.learnt(session, "lamp")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Lineage, "activate", cut_off)
        library.learn(session, "bird")
    assert (session.store.ids(), session.store.active) == (["v1", "v2"], "v1")
    assert library.learnt(session, "bird").id == "v2"
    assert (session.store.ids(), session.store.active) == (["v1", "v2"], "v2")


@pytest.mark.parametrize("parent", ["v1", "base"])
def test_cut_off_while_it_is_committed_on_a_version_that_was_named(
    library: Library, monkeypatch: pytest.MonkeyPatch, parent: str
) -> None:
    session = library.session()
    for name in ("lamp", "bird"):
        library.learnt(session, name)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Lineage, "activate", cut_off)
        library.learn(session, "port", parent=parent)
    assert (session.store.ids(), session.store.active) == (["v1", "v2", "v3"], "v2")
    assert library.learnt(session, "port", parent=parent).id == "v3"
    assert (session.store.ids(), session.store.active) == (["v1", "v2", "v3"], "v3")


def test_cut_off_while_it_is_committed_and_overtaken(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another session learnt before it was gone on with is not lost."""
    session = library.session()
    library.learnt(session, "lamp")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Lineage, "activate", cut_off)
        library.learn(session, "bird")
    assert library.learnt(library.session(), "port").id == "v3"
    version = library.learnt(session, "bird")
    assert (version.id, version.parent, session.store.active) == ("v4", "v3", "v4")
    assert adapters(version).keys() == {"Marrowfen", "Pigeonpost", "Veskara"}


def test_what_was_rolled_back_stays_so_when_its_run_is_gone_on_with(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = library.session()
    library.learnt(session, "lamp")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "clear_journal", cut_off)
        library.learn(session, "bird")
    assert session.rollback() == "v1"
    assert library.learnt(session, "bird").id == "v2"
    assert session.store.active == "v1"


@pytest.mark.parametrize("names", [("bird",), ("lamp", "bird")])
def test_cut_off_after_its_commit_says_what_came_of_it(
    library: Library, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    session = library.session()
    library.learnt(session, "lamp")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "clear_journal", cut_off)
        library.learn(session, *names)
    assert session.store.active == "v2"
    assert library.learnt(session, *names).id == "v2"
    assert session.store.ids() == ["v1", "v2"]
    assert not [path for path in (session.store.path / "work").iterdir() if path.is_dir()]


def test_cut_off_while_training_on_top_goes_on_to_the_same(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    session = library.session()
    library.learnt(session, "lamp")
    expected = adapters(library.learnt(library.session("whole"), "bird"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Updater, "judged", cut_off)
        library.learn(session, "bird")
    with monkeypatch.context() as patch:
        patch.setattr(Updater, "_train_chunk", cut_off)  # What was trained is recorded.
        version = library.learnt(session, "bird")
    assert adapters(version).items() > expected.items()
