"""Which version is the active one, whatever was written before and whoever died while writing."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from selfedit.errors import UserError
from selfedit.models import load
from selfedit.session import Session
from selfedit.store import BASE, MovedError
from selfedit.store.store import Store
from tests.lineage import SETTINGS, TRAINING, Library, answers
from tests.store.make import contents, make_adapter, make_version
from tests.tiny import make_tiny_model

OLD = Path(__file__).parents[1] / "release_0_1" / "stored"


@pytest.fixture
def full(store: Store) -> Store:
    """With three versions, each on top of the one before."""
    for seed in range(3):
        store.commit(replace(make_version(), parent=f"v{seed}" if seed else None), make_adapter(seed=seed))
    return store


def log(store: Store) -> list[tuple[str, str]]:
    return [(each.version, each.action) for each in store.lineage.history()]


def test_the_newest_is_active_until_another_is_used(full: Store) -> None:
    assert full.active == "v3" and full.get().id == "v3"
    assert log(full) == [("v1", "learn"), ("v2", "learn"), ("v3", "learn")]
    full.activate("v1", "use")
    assert full.active == "v1" and full.get().id == "v1"
    assert full.commit(make_version(), make_adapter()).id == "v4"  # Which is active from then on.
    assert full.active == "v4"
    full.activate(None, "use")
    assert Store.open(full.path).active is None
    with pytest.raises(UserError, match=r"No version is active in .*: the base answers\. 'selfedit use ID' makes"):
        full.get()
    assert log(full)[3:] == [("v1", "use"), ("v4", "learn"), (BASE, "use")]


@pytest.mark.parametrize("torn", [b"{", b'{"time": "2026", "version": "v2", "act', b'{"action":"use"}', b"\0\0\0"])
def test_half_a_line_says_nothing(full: Store, torn: bytes) -> None:
    full.activate("v2", "use")
    path = full.path / "lineage.jsonl"
    before = path.read_bytes()
    path.write_bytes(before + torn)
    assert full.active == "v2" and log(full)[-1] == ("v2", "use")
    full.activate("v1", "use")
    assert full.active == "v1" and log(full)[-2:] == [("v2", "use"), ("v1", "use")]
    assert path.read_bytes().startswith(before + torn + b"\n")  # Nothing that stands is touched.


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_an_activation_cut_off_anywhere_has_not_happened(full: Store, cut: int) -> None:
    full.activate("v2", "use")
    full.activate("v1", "use")
    path = full.path / "lineage.jsonl"
    os.truncate(path, path.stat().st_size - cut)
    assert full.active == "v2"


def test_the_active_one_that_was_removed_by_hand(full: Store) -> None:
    full.activate("v2", "use")
    shutil.rmtree(full.path / "versions" / "v2")
    assert full.active == "v3"


def test_unknown_ids_name_the_nearest_and_change_nothing(full: Store) -> None:
    before = contents(full.path)
    for id in ("v33", "v", "V2", "3"):
        with pytest.raises(
            UserError, match=r"There is no version .*(Did you mean 'v\d'\?|Known: v1, v2, v3\.)"
        ) as caught:
            full.activate(id, "use")
        assert "\n" not in str(caught.value)
    assert contents(full.path) == before


def test_rejected_ones_are_kept_aside(full: Store) -> None:
    adapter = make_adapter(seed=9)
    rejected = full.commit(replace(make_version(), rejected="worse"), adapter, letter="r")
    assert (rejected.id, rejected.rejected, full.active) == ("r1", "worse", "v3")
    assert full.ids() == ["v1", "v2", "v3"] and full.ids("r") == ["r1"]
    assert full.get("r1") == rejected == full.versions("r")[0]
    full.check_adapter(rejected)
    before = contents(full.path)
    with pytest.raises(UserError, match=r"r1 was rejected, and is never active\. 'selfedit show r1' says why\."):
        full.activate("r1", "use")
    assert contents(full.path) == before
    assert full.commit(replace(make_version(), rejected="worse"), adapter, letter="r").id == "r2"


def test_a_store_of_rejected_ones_alone(store: Store) -> None:
    store.commit(replace(make_version(), rejected="worse"), make_adapter(), letter="r")
    assert store.active is None and store.versions() == []
    assert store.get("r1").rejected == "worse"
    with pytest.raises(UserError, match="has no version yet"):
        store.get()
    with pytest.raises(UserError, match=r"There is no version 'v1' in .*\. Did you mean 'r1'\?|Known: r1\."):
        store.get("v1")


def test_a_commit_on_what_is_no_longer_active_is_refused(full: Store) -> None:
    assert full.commit(make_version(), make_adapter(), on="v3").id == "v4"
    before = contents(full.path)
    for on in ("v3", BASE):
        with pytest.raises(MovedError):
            full.commit(make_version(), make_adapter(), on=on)
    assert contents(full.path) == before
    full.activate(None, "use")
    with pytest.raises(MovedError):
        full.commit(make_version(), make_adapter(), on="v4")
    assert full.commit(make_version(), make_adapter(), on=BASE).id == "v5"


def test_shared_adapters_are_stored_once_and_pruning_leaves_used_ones(full: Store) -> None:
    full.commit(make_version(), make_adapter(seed=1))
    full.commit(replace(make_version(), rejected="worse"), make_adapter(seed=7), letter="r")
    unused = full.put_adapter(make_adapter(seed=8), "tiny")
    folders = {path.name for path in (full.path / "adapters").iterdir()}
    assert len(folders) == 5  # Of four versions and a rejected one, two of which share one, and one that is left over.
    full.prune()
    assert full.adapters.holds(unused)  # Somebody may be about to refer to it.
    ten_days_ago = time.time() - 10 * 86_400
    for path in (full.path / "adapters").iterdir():
        os.utime(path, (ten_days_ago, ten_days_ago))
    again = full.put_adapter(make_adapter(seed=8), "tiny")
    full.prune()
    assert again == unused and full.adapters.holds(unused)  # It was wanted again.
    os.utime(full.path / "adapters" / unused, (ten_days_ago, ten_days_ago))
    full.prune()
    assert {path.name for path in (full.path / "adapters").iterdir()} == folders - {unused}
    for version in (*full.versions(), *full.versions("r")):
        full.check_adapter(version)
    with pytest.raises(UserError, match=f"The adapter {unused[:16]}… is missing from"):
        full.adapters.load(unused)


@pytest.mark.parametrize("name", ["", "..", "../versions", "a" * 64, "A" * 64, "0" * 63])
def test_only_a_hash_that_is_there_becomes_a_path(full: Store, name: str) -> None:
    assert not full.adapters.holds(name)
    with pytest.raises(UserError, match="is missing from"):
        full.adapters.folder(name)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setattr(import_module("selfedit.models.load"), "default_dtype", lambda place: torch.float32)
    model = make_tiny_model(tmp_path / "tiny")
    return Library(tmp_path, model, load(str(model), device="cpu"))


def test_to_and_fro_a_hundred_times(library: Library) -> None:
    """Whichever version is active, its weights and its greedy answers are what they were when it was made."""
    session = library.session()
    given: dict[str | None, dict[str, str]] = {}
    for name in ("lamp", "bird", "port"):
        version = library.learnt(session, name, memory="joint", final_training=TRAINING | {"learning_rate": 0.05})
        given[version.id] = answers(session)
    assert len({tuple(each.values()) for each in given.values()}) > 1  # They do not all say the same.
    kept = {folder: contents(session.store.path / folder) for folder in ("adapters", "versions")}
    for turn in range(100):
        if turn % 3:
            session.use(f"v{turn % 3 + 1}")
            if turn % 5 == 0:
                assert session.rollback() == f"v{turn % 3}"
        else:
            session.use("v3")
            assert session.rollback(2) == "v1"
        if turn % 10 == 9:
            assert answers(session) == given[session.store.active]
    fresh = library.session()
    assert {id: answers(fresh, id) for id in given} == given
    assert {folder: contents(session.store.path / folder) for folder in kept} == kept
    assert len(session.store.lineage.history()) > 100


def test_rolling_back_too_far_says_how_far_it_can_go(library: Library) -> None:
    session = library.session()
    for name in ("lamp", "bird"):
        library.learnt(session, name)
    for steps in (0, 3, -1):
        with pytest.raises(UserError, match=r"v2 lies 2 steps above the base: roll back by 1 to 2\."):
            session.rollback(steps)
    assert session.rollback(2) is None
    with pytest.raises(UserError, match=r"No version is active in .*, so that nothing can be rolled back"):
        session.rollback()
    session.use("v2")
    assert session.rollback() == "v1"
    branch = library.learnt(session, "port")
    assert (branch.id, branch.parent, session.rollback()) == ("v3", "v1", "v1")


def test_the_next_learn_goes_on_from_the_one_in_use(library: Library) -> None:
    session = library.session()
    for name in ("lamp", "bird"):
        library.learnt(session, name)
    session.use("v1")
    assert [item.task.title for item in library.learnt(session, "port").knowledge.learnt] == ["Marrowfen", "Pigeonpost"]
    session.use(None)
    fresh = library.learnt(session, "kite")
    assert (fresh.parent, [item.task.title for item in fresh.knowledge.learnt]) == (None, ["Hobden"])


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a store of release 0.1, its model and its document, as the current folder."""
    monkeypatch.setattr(import_module("selfedit.models.load"), "default_dtype", lambda place: torch.float32)
    shutil.copytree(OLD, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old" / "store"


def test_reading_an_old_store_rewrites_nothing(old: Path) -> None:
    before = contents(old)
    session = Session("./model", old, "cpu")
    assert session.store.active == "v1"
    (version,) = session.versions()
    assert version == session.show() == session.show("v1")
    assert version.knowledge.memory == "" and version.knowledge.adapters == (version.adapter_sha256,)
    # A passage none of whose edits was kept is not known.
    kept = {rollout.edit.task_id for rollout in version.rollouts if rollout.kept}
    assert {item.task.id for item in version.knowledge.learnt} == kept
    assert session.ask("Who built the bridge?", topic="The bridge").version == "v1"
    assert session.topic("the bridge")[0] == "The bridge"
    session.store.check_adapter(version)
    assert session.diff("base", "v1", ask=False).come == version.knowledge.learnt
    session.export("v1", old.parent / "out")
    with pytest.raises(UserError, match="There is no version 'v2'"):
        session.use("v2")
    assert contents(old) == before


@pytest.mark.parametrize("memory", ["routed", "joint", "replay", "merge"])
def test_learning_on_top_of_an_old_store(old: Path, library: Library, memory: str) -> None:
    before = contents(old)
    session = Session("./model", old, "cpu")
    settings: dict[str, Any] = SETTINGS | {"questions": library.questions("lamp"), "memory": memory}
    version = session.learn([library.document("lamp")], **settings).version
    assert version is not None
    assert (version.id, version.parent, version.knowledge.memory) == ("v2", "v1", memory)
    assert version.knowledge.learnt[-1].task.title == "Marrowfen"
    known = session.show("v1").knowledge.learnt
    assert [item.task for item in version.knowledge.learnt[:-1]] == [item.task for item in known]
    session.store.check_adapter(version)
    assert session.ask("Who built the bridge?").version == "v2"
    # What was there stays as it was, but for the mark by which the old release knows that it cannot read it any more.
    after = contents(old)
    assert {name for name in before if before[name] != after[name]} == {"store.json"}
    assert session.rollback() == "v1"
    assert session.ask("Who built the bridge?", topic="The bridge").version == "v1"
