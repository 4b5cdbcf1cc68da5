"""What a folder is seen to hold, and when what came is enough."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.stream import folder as folders
from selfedit.stream.base import Aside, Changed, Gone
from selfedit.stream.batcher import Batcher
from selfedit.stream.folder import FolderSource, system_wait
from tests.stream.make import SteppedClock


def source(path: Path, clock: SteppedClock | None = None) -> FolderSource:
    return FolderSource(path, path.parent / "store", lambda _: True, clock or SteppedClock())


def test_new_changed_and_gone(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "deep" / ".hidden").mkdir(parents=True)
    for name in ("a.md", "b.png", ".c.md", "deep/d.TXT", "deep/.hidden/e.md"):
        (docs / name).write_text("text")
    watched = source(docs)
    assert watched.poll(1) == [Changed(docs / "a.md"), Changed(docs / "deep" / "d.TXT")]
    assert watched.poll(1) == []
    (docs / "a.md").write_text("other text")
    (docs / "deep" / "d.TXT").unlink()
    assert watched.poll(1) == [Changed(docs / "a.md"), Gone(docs / "deep" / "d.TXT")]
    (docs / "a.md").unlink()
    (docs / "deep" / ".hidden" / "e.md").unlink()
    (docs / "deep" / ".hidden").rmdir()
    (docs / "deep").rmdir()
    for path in docs.iterdir():
        path.unlink()
    docs.rmdir()
    with pytest.raises(UserError, match="There is no folder"):
        watched.poll(1)


def test_the_store_in_it_is_passed_over_and_one_in_the_store_refused(tmp_path: Path) -> None:
    inside = tmp_path / "store" / "docs"
    inside.mkdir(parents=True)
    (tmp_path / "store" / "card.md").write_text("text")
    assert FolderSource(tmp_path, tmp_path / "store", lambda _: True, SteppedClock()).poll(1) == []
    for bad, match in ((inside, "lies in the store"), (tmp_path / "store" / "card.md", "is a file")):
        with pytest.raises(UserError, match=match):
            FolderSource(bad, tmp_path / "store", lambda _: True, SteppedClock())


def test_links_pipes_and_hostile_names(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "loop").symlink_to(docs)
    (docs / "one.md").symlink_to(docs / "other.md")
    (docs / "other.md").symlink_to(docs / "one.md")
    (docs / "broken.md").symlink_to(docs / "nothing.md")
    os.mkfifo(docs / "pipe.md")
    Path(os.fsdecode(os.fsencode(docs) + b"/\xff.md")).write_text("text")
    odd = docs / "; rm -rf ~\n\x1b[31m.md"
    odd.write_text("text")
    watched = source(docs)
    arrivals = watched.poll(1)
    assert [each for each in arrivals if isinstance(each, Changed)] == [Changed(odd)]
    asides = sorted(each.why for each in arrivals if isinstance(each, Aside))
    assert len(asides) == 4 and asides[-1] == "its name is not UTF-8: rename it"
    assert all(each.where.isprintable() for each in arrivals if isinstance(each, Aside))
    assert watched.poll(1) == []  # Each is said once.


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_FILES", 20)
    docs = tmp_path / "docs"
    docs.mkdir()
    for n in range(21):
        (docs / f"{n}.bin").touch()
    with pytest.raises(UserError, match="holds more than 20 files"):
        source(docs)


def test_the_system_tells_of_changes(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    wait = system_wait(docs, tmp_path / "store", lambda _: None)
    assert not wait(1.0)
    (docs / "a.md").write_text("text")
    assert wait(1.0)


def test_batches(tmp_path: Path) -> None:
    one, two, three = (Path(name) for name in "abc")
    batcher = Batcher(5, 2)
    batcher.add(Changed(one), 0)
    batcher.add(Changed(one), 3)  # It still grows.
    assert batcher.take(7) == [] and 0 < batcher.wait(7, 60) <= 1 and batcher.take(8) == [one]
    for at, path in ((10, one), (11, two), (12, three)):
        batcher.add(Changed(path, whole=True), at)
    assert batcher.is_ready(12) and batcher.take(12) == [one, two]  # Enough, without waiting for more.
    assert batcher.take(13) == [] and batcher.take(17) == [three]
    batcher.add(Changed(one), 20)
    assert batcher.take(21, at_once=True) == [one] and not len(batcher)
    batcher.add(Changed(two), 30)
    for at in range(30, 82, 2):  # One that never settles does not stop another for ever.
        batcher.add(Changed(three), at)
    assert batcher.take(81) == [two]
