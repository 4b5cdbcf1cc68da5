from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.models.folder import INDEX, FolderSource
from selfedit.progress import Progress


@pytest.fixture
def model(tiny_llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_llama, tmp_path / "model"))


def test_a_whole_folder_is_used_where_it_lies(model: Path, quiet: Progress) -> None:
    source = FolderSource(model)
    source.check()
    assert source.folder(quiet) == model


@pytest.mark.parametrize(
    ("lost", "said"),
    [("config.json", "no config.json"), ("model.safetensors", "no *.safetensors"), ("tokenizer.json", "no tokenizer")],
)
def test_a_missing_file_is_named(model: Path, lost: str, said: str) -> None:
    (model / lost).unlink()
    with pytest.raises(UserError) as caught:
        FolderSource(model).check()
    assert said in str(caught.value)


def test_pickled_weights_are_refused(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(UserError, match="never loaded"):
        FolderSource(model).check()


def test_a_missing_shard_is_named(model: Path) -> None:
    (model / INDEX).write_text(json.dumps({"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}))
    with pytest.raises(UserError, match=r"lacks model-2\.safetensors"):
        FolderSource(model).check()


def test_an_adapter_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="LoRA adapter"):
        FolderSource(tmp_path).check()
