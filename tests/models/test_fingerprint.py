from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.models import fingerprint


def flip_byte(path: Path, *, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_it_is_remembered_and_follows_each_byte(tiny_llama: Path, tmp_path: Path, home: Path) -> None:
    model = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    time.sleep(2.1)  # Only a file that has rested for two seconds is remembered.
    before = fingerprint(model)
    assert len(before) == 64 and fingerprint(model) == before
    assert str((model / "model.safetensors").resolve()) in json.loads((home / "fingerprints.json").read_text())
    status = (model / "model.safetensors").stat()
    flip_byte(model / "model.safetensors")
    # Not even a modification time set back hides the change.
    os.utime(model / "model.safetensors", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint(model) != before
    flip_byte(model / "model.safetensors")
    assert fingerprint(model) == before


def test_two_quick_changes_are_both_seen(tiny_llama: Path, tmp_path: Path) -> None:
    weights = Path(shutil.copytree(tiny_llama, tmp_path / "model")) / "model.safetensors"
    seen = set()
    for _ in range(4):
        for at in (-1, -2):
            flip_byte(weights, at=at)
            seen.add(fingerprint(weights.parent))
    assert len(seen) == 4


def test_the_configuration_counts_but_not_who_wrote_it(tiny_llama: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    before = fingerprint(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_version": "9.9.9"}))
    assert fingerprint(folder) == before
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    assert fingerprint(folder) != before


@pytest.mark.parametrize("content", ["{", "[]", '{"x": 1}', '{"x": ["1"]}', "\x00"])
def test_a_broken_cache_is_ignored(tiny_llama: Path, home: Path, content: str) -> None:
    home.mkdir()
    (home / "fingerprints.json").write_text(content)
    assert len(fingerprint(tiny_llama)) == 64


def test_a_cache_that_cannot_be_written_is_ignored(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SELFEDIT_HOME", str(tmp_path / "file" / "home"))
    assert len(fingerprint(tiny_llama)) == 64


def test_a_folder_without_weights_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No \*\.safetensors"):
        fingerprint(tmp_path)
