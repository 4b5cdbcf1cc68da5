from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.models.hub import HubSource
from tests.models.conftest import Notes

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache, offline. The library reads its environment only when it is imported."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def put(cache: Path, model: Path) -> Path:
    repository = cache / "models--org--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return Path(shutil.copytree(model, repository / "snapshots" / COMMIT))


def test_a_cached_model_needs_no_network(cache: Path, tiny_llama: Path, notes: Notes) -> None:
    snapshot = put(cache, tiny_llama)
    assert HubSource("org/tiny").folder(notes) == snapshot
    assert notes.notes == []


def test_an_absent_model_offline_is_one_clear_error(cache: Path, notes: Notes) -> None:
    with pytest.raises(UserError, match=r"org/tiny is not in the Hugging Face cache and HF_HUB_OFFLINE is set"):
        HubSource("org/tiny").folder(notes)


def test_a_half_downloaded_model_is_not_used(cache: Path, tiny_llama: Path, notes: Notes) -> None:
    (put(cache, tiny_llama) / "model.safetensors").unlink()
    with pytest.raises(UserError, match="HF_HUB_OFFLINE"):
        HubSource("org/tiny").folder(notes)


def test_an_impossible_id_is_found_without_the_network() -> None:
    with pytest.raises(UserError, match="no Hugging Face id"):
        HubSource("org/na--me").check()
