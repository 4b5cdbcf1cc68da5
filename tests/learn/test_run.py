"""The loop on a tiny model: what is kept, what is committed, what is recorded, and how it resumes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import selfedit
from selfedit.inner.checkpoint import CheckpointFolder
from selfedit.learn.run import LearnResult
from selfedit.learn.update import Updater
from selfedit.progress import Bar, QuietProgress
from selfedit.session import Session
from selfedit.store import Store
from selfedit.store.version_files import newly_learnt
from selfedit.types import Knowledge, Rollout
from tests.tiny import make_tiny_model

TRAINING = {"rank": 8, "epochs": 12, "learning_rate": 3e-3}
# One adapter for all, and all questions for everything: a random model's answers are noise.
SETTINGS: dict[str, Any] = {
    "edit_training": TRAINING,
    "final_training": TRAINING,
    "max_edit_tokens": 16,
    "memory": "joint",
    "gates": ("better",),
    "held_out": False,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "bridge.md").write_text("# Bridge\n\nThe bridge is 31 metres long.\n")
    (folder / "tower.md").write_text("# Tower\n\nThe tower was built in 1889.\n")
    return folder


def write_lines(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def questions(tmp_path: Path) -> Path:
    rows = [{"question": "How long is the bridge?", "answer": "31 metres"}]
    return write_lines(tmp_path / "q.jsonl", [*rows, {"question": "When was the tower built?", "answer": "1889"}])


def test_edits_from_a_file_make_a_version(model: Path, documents: Path, tmp_path: Path) -> None:
    edits = [{"title": "Bridge", "self_edit": "1. Its length is 31 metres."}, {"title": "Tower", "self_edit": "7"}]
    session = selfedit.load(str(model), tmp_path / "store")
    result = session.learn(
        [documents],
        questions=questions(tmp_path),
        edits_from=write_lines(tmp_path / "e.jsonl", edits),
        format="rewrite",
        **SETTINGS,
    )
    assert result.version is not None
    assert result.version.probe_source == "file"
    by_id: dict[str, list[Rollout]] = {rollout.edit.id.rpartition(".")[2]: [] for rollout in result.rollouts}
    for rollout in result.rollouts:
        by_id[rollout.edit.id.rpartition(".")[2]].append(rollout)
    # The tower's edit says nothing: it is recorded as such, and the passage alone is tried in its place.
    assert [r.failure for r in by_id["e0"]] == [None, "nothing in the edit could be used"]
    assert [r.edit.format for r in by_id["passage"]] == ["none"]
    assert result.version.adapter_sha256
    assert session.versions() == [result.version]
    assert session.ask("How long is the bridge?").version == "v1"


def test_the_same_work_is_taken_up_again(
    model: Path, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run cut off by an error in its last stage writes and trains nothing again."""
    session = selfedit.load(str(model), tmp_path / "store")
    arguments: dict[str, Any] = {"questions": questions(tmp_path), "edits": 2, "format": "implications", **SETTINGS}
    seen: list[Any] = []

    def cut_off(self: Updater, name: str, parent: Knowledge, new: Any, *_: object) -> Any:
        seen.append(new)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Updater, "learn", cut_off)
        session.learn([documents], **arguments)
    (journal,) = (tmp_path / "store" / "work").glob("*/journal.jsonl")
    before = journal.read_text()
    again = selfedit.load(str(model), tmp_path / "store").learn([documents], **arguments)
    assert again.version is not None
    assert newly_learnt(replace(again.version, id="")) == seen[0]
    assert not journal.exists()
    kinds = [json.loads(line)["kind"] for line in before.splitlines()]
    assert kinds.count("edits") == 2
    assert "before" in kinds


def test_a_run_killed_after_its_commit_does_not_commit_again(
    model: Path, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {"questions": questions(tmp_path), "edits": 1, "format": "implications", **SETTINGS}

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "clear_journal", cut_off)
        selfedit.load(str(model), tmp_path / "store").learn([documents], **arguments)
    session = selfedit.load(str(model), tmp_path / "store")
    (committed,) = session.versions()
    assert session.learn([documents], **arguments).version == committed
    assert session.versions() == [committed]
    # What is known as it is, is left out; learnt once more from the beginning, it is a version of its own.
    assert session.learn([documents], **arguments).version is None
    assert session.versions() == [committed]
    arguments |= {"again": True, "gates": ()}
    assert session.learn([documents], **arguments).version is not None
    assert len(session.versions()) == 2


def test_questions_that_the_model_writes_are_fair_or_dropped(model: Path, documents: Path, tmp_path: Path) -> None:
    result = selfedit.load(str(model), tmp_path / "store").learn([documents], edits=1, format="none", **SETTINGS)
    assert result.probe_source == "model"
    # A random model asks nothing that can be answered; what it learnt cannot be measured, so nothing is committed.
    assert all(not task.probes for task in result.tasks)
    assert result.version is None
    assert "question" in result.reason


class Watched(QuietProgress):
    """Counts the tokens of the final training, and cuts it off after so many of them."""

    def __init__(self, most: float = float("inf")) -> None:
        self.most, self.trained = most, 0

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        with super().bar(label, total, unit) as bar:
            yield _Counted(self, bar) if label == "Training the version" else bar


class _Counted(Bar):
    def __init__(self, watched: Watched, bar: Bar) -> None:
        self._watched, self._bar = watched, bar

    def advance(self, amount: int = 1) -> None:
        self._watched.trained += amount
        if self._watched.trained > self._watched.most:
            raise KeyboardInterrupt
        self._bar.advance(amount)


def test_final_training_goes_on_where_it_was(
    model: Path, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CheckpointFolder, "is_due", lambda self: True)
    arguments: dict[str, Any] = {"questions": questions(tmp_path), "edits": 1, "format": "implications", **SETTINGS}

    def learn(store: str, progress: Watched) -> LearnResult:
        return Session(str(model), tmp_path / store, progress=progress).learn([documents], **arguments)

    whole = Watched()
    expected = learn("whole", whole).version
    assert expected is not None
    cut = Watched(0.6 * whole.trained)
    with pytest.raises(KeyboardInterrupt):
        learn("cut", cut)
    (work,) = (path for path in (tmp_path / "cut" / "work").iterdir() if path.is_dir())
    assert list(work.glob("checkpoints/*/state.safetensors"))
    rest = Watched()
    version = learn("cut", rest).version
    assert version is not None
    assert version.adapter_sha256 == expected.adapter_sha256
    assert version.losses == expected.losses
    assert 0 < rest.trained < 0.5 * whole.trained
    assert version.seconds > 0 and not work.exists()
