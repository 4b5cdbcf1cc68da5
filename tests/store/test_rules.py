"""What the rules let happen in a store, whoever tries, and how often at once."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.rules import LimitError, Rules
from selfedit.store import Store
from selfedit.types import DocumentRef, Flag, Version
from tests.store.make import contents, make_adapter, make_version


def ruled(store: Store, text: str) -> Store:
    store.set_rules(text.encode(), "rules.yaml")
    return store


def commit(store: Store, seed: int = 0, **changes: object) -> Version:
    return store.commit(replace(make_version(), **changes), make_adapter(seed=seed))  # type: ignore[arg-type]


def said(store: Store) -> list[tuple[str, str]]:
    return [(entry.action, entry.subject) for entry in store.audit.entries()]


class Clock(datetime):
    """Goes wrong by `off`."""

    off = timedelta()

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return datetime.now(timezone.utc) + cls.off


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr("selfedit.audit.log.datetime", Clock)
    monkeypatch.setattr(Clock, "off", timedelta())
    return Clock


def test_everything_that_is_done_is_in_the_log(store: Store) -> None:
    for seed in range(2):
        commit(store, seed)
    store.commit(replace(make_version(), rejected="worse"), letter="r")
    store.activate("v1", "use")
    store.activate(None, "rollback")
    commit(store, 3, action="forget")
    assert said(store) == [
        ("began", ""),
        ("committed", "v1"),
        ("committed", "v2"),
        ("rejected", "r1"),
        ("activated", "v1"),
        ("rolled back", "base"),
        ("forgot", "v3"),
    ]
    entry = store.audit.entries()[1]
    version = store.get("v1")
    assert entry.hashes["version"] == (store.sha256("v1"),) and entry.hashes["adapter"] == (version.adapter_sha256,)
    assert entry.hashes["document"] == ("a" * 64,) and len(entry.hashes["edit"]) == 1


def test_so_many_updates_an_hour_and_a_day(store: Store, clock: type[Clock]) -> None:
    ruled(store, "updates_per_hour: 2\nupdates_per_day: 3\n")
    for seed in range(2):
        commit(store, seed)
    before = contents(store.path / "versions")
    with pytest.raises(
        LimitError, match=r"allow no update now: updates_per_hour is 2\. The next is possible at 2"
    ) as hit:
        commit(store, 2)
    assert contents(store.path / "versions") == before and said(store)[-1] == ("limit hit", "update")
    assert hit.value.until is not None and hit.value.until - Clock.now() > timedelta(minutes=59)
    for off in (timedelta(days=-400), timedelta(hours=-1), timedelta(minutes=59)):  # A clock set back gains nothing.
        clock.off = off
        with pytest.raises(LimitError):
            commit(store, 2)
    clock.off = timedelta(minutes=61)
    assert commit(store, 2).id == "v3"
    clock.off = timedelta(hours=3)
    with pytest.raises(LimitError, match="updates_per_day is 3"):
        commit(store, 3)
    assert commit(store, 3, action="forget").id == "v4"  # Whoever wants something gone wants it gone.
    clock.off = timedelta(hours=26)
    assert commit(store, 4).id == "v5"


def test_least_time_between(store: Store, clock: type[Clock]) -> None:
    ruled(store, "minutes_between: 2880\n")
    commit(store)
    clock.off = timedelta(hours=47)
    with pytest.raises(LimitError, match="minutes_between is 2880"):
        commit(store, 1)
    clock.off = timedelta(hours=49)
    assert commit(store, 1).id == "v2"


def test_documents_and_tokens_a_day(store: Store, clock: type[Clock]) -> None:
    ruled(store, "documents_per_day: 3\ntokens_per_day: 100\n")
    documents = [DocumentRef(f"{i}.md", f"{i}", f"{i:064x}") for i in range(6)]
    store.admit(documents[:2], [10, 20])
    store.admit(documents[:2], [10, 20])  # The same ones, as when work is gone on with.
    with pytest.raises(LimitError, match=r"documents_per_day is 3, .* it would be 4\. There is room at"):
        store.admit(documents[2:4], [1, 1])
    with pytest.raises(
        LimitError, match=r"tokens_per_day is 100, .* it would be 131, and alone 101\. Learn fewer at once"
    ):
        store.admit(documents[2:3], [101])
    store.admit(documents[2:3], [70])
    clock.off = timedelta(hours=25)
    store.admit(documents[3:6], [30, 30, 40])
    assert [action for action, _ in said(store)[2:]] == ["read", "read", "limit hit", "limit hit", "read", "read"]


def test_folders(store: Store) -> None:
    (store.home / "docs").mkdir()
    (store.home / "docs" / "link").symlink_to("/etc")
    ruled(store, "folders: [docs]\n")
    store.admit([DocumentRef("docs/a.md", "a", "a" * 64)], [1])
    for path in ("../x.md", "/etc/passwd", "docs/../b.md", "docs/link/passwd", "docs\x1b[2J/../../x"):
        with pytest.raises(LimitError, match="lies in none of the folders docs") as caught:
            store.admit([DocumentRef(path, "a", "b" * 64)], [1])
        assert str(caught.value).isprintable()


def test_margins_are_demanded(store: Store) -> None:
    ruled(store, "margins: {general: 0.02}\n")
    for settings in ({}, {"gates": ["general"], "margins": {"general": 0.05}}, {"margins": {"general": 0.0}}):
        with pytest.raises(UserError, match=r"demand the gate 'general' with a margin of 0\.02"):
            commit(store, settings=settings)
    assert commit(store, settings={"gates": ["general"], "margins": {"general": 0.02}}).id == "v1"


def test_what_waits(store: Store) -> None:
    ruled(store, "approval: flagged\n")
    assert commit(store).id == "v1"
    flagged = commit(store, 1, flags=(Flag("secrets", "note.md", "Note", "note.md", "AKI…", "a key"),))
    assert (flagged.id, store.active, store.ids("p")) == ("p1", "v1", ["p1"])
    ruled(store, "approval: always\n")
    assert commit(store, 2).id == "p2"
    with pytest.raises(UserError, match="p1 waits for approval"):
        store.activate("p1", "use")
    assert commit(store, 3, action="forget").id == "v2"


def test_rules_are_changed_by_those_who_may_and_in_one_way(store: Store) -> None:
    ruled(store, "approval: always\napprovers: [ana]\n")
    for_ben, for_ana = (Store.open(store.path, actor=name) for name in ("ben", "ana"))
    with pytest.raises(UserError, match="ben may not do this: the rules of this store name ana"):
        for_ben.set_rules(b"", "rules.yaml")
    assert for_ana.set_rules(b"# none\n", "rules.yaml") == Rules() == store.rules
    (file,) = [path for path in (store.path / "rules").iterdir() if path.read_bytes() == b"# none\n"]
    file.write_bytes(b"guard: false\n")
    with pytest.raises(UserError, match=r"was changed otherwise than by 'selfedit rules set'"):
        commit(store)
    file.unlink()
    with pytest.raises(UserError, match="the rules of this store, is gone"):
        store.admit([], [])
    assert [entry.action for entry in store.audit.entries()] == ["began", "setting changed", "setting changed"]
    assert ruled(store, "").rules == Rules()


def test_an_old_store_is_taken_into_a_new_log(store: Store) -> None:
    commit(store)
    commit(store, 1)
    for name in ("audit.jsonl", "audit-head.json"):
        (store.path / name).unlink()
    opened = Store.open(store.path)
    before = contents(store.path)
    assert (opened.active, opened.rules, opened.audit.head) == ("v2", Rules(), None)
    assert contents(store.path) == before
    opened.activate("v1", "use")
    began = opened.audit.entries()[0]
    assert began.details == {"versions": {id: opened.sha256(id) for id in ("v1", "v2")}, "active": "v2"}


# Eight processes that wait for each other, forked from one that has imported what they need.
RACE = """
import os, sys
from pathlib import Path
from selfedit.rules import LimitError
from selfedit.store import Store
from tests.store.make import make_version
waiting, go = os.pipe()
for _ in range(8):
    if os.fork() == 0:
        os.close(go)
        store = Store.open(Path(sys.argv[1]))
        os.read(waiting, 1)
        try:
            said = store.commit(make_version()).id
        except LimitError:
            said = "limit"
        print(said, flush=True)
        os._exit(0)
os.close(go)
for _ in range(8):
    os.wait()
"""


def test_processes_at_once(store: Store) -> None:
    """The short form of `python -m benchmarks.audit_processes`."""
    ruled(store, "updates_per_hour: 3\n")
    command = [sys.executable, "-c", RACE, str(store.path)]
    outcomes = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert sorted(outcomes) == ["limit"] * 5 + ["v1", "v2", "v3"]


def test_a_kill_between_folder_and_log_gets_around_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ruled(store, "updates_per_hour: 1\n")

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    version = make_version()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "_log_added", cut_off)
        store.commit(version, make_adapter())
    assert store.ids() == ["v1"] and not store.is_logged("v1")
    store.commit(replace(version, created="2026-01-03"), make_adapter(seed=1))
    with pytest.raises(LimitError):
        store.activate("v1", "use")
    assert store.active == "v2"


def test_the_same_commit_after_a_kill_is_not_there_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "_log_added", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        store.commit(make_version(), make_adapter())
    assert store.commit(make_version(), make_adapter()).id == "v1"
    assert said(store) == [("began", ""), ("committed", "v1")]
    assert store.commit(make_version(), make_adapter()).id == "v2"  # Said twice on purpose, it is there twice.


def test_the_log_tells_of_what_is_not_as_it_was(store: Store, tmp_path: Path) -> None:
    from selfedit.store import differences

    for seed in range(3):
        commit(store, seed)
    assert differences(store) == []
    path = store.path / "versions" / "v2" / "version.json"
    text = path.read_text()
    path.write_text(text.replace("12.75", "1.75"))
    weights = store.path / "adapters" / store.get("v3").adapter_sha256 / "adapter_model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + b"\0")
    lineage = store.path / "lineage.jsonl"
    lineage.write_text("".join(lineage.read_text().splitlines(keepends=True)[:-1]))
    found = {each.entry: each.text for each in differences(store)}
    assert "v2 is not what it was at entry 3" in found[3]
    assert any("Version v3 cannot be used" in text or "should be v3" in text for text in (found[4],))
    assert len(differences(store)) == 3
