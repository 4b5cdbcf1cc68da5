from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.models import DEFAULT_MODEL, resolve
from selfedit.models.bundled import BundledSource
from selfedit.models.folder import FolderSource
from selfedit.models.gguf import GgufSource
from selfedit.models.hub import HubSource


def test_each_form_of_name_finds_its_source(tmp_path: Path) -> None:
    assert isinstance(resolve(DEFAULT_MODEL), BundledSource)
    assert isinstance(resolve(str(tmp_path)), FolderSource)
    assert isinstance(resolve("some/where/model.GGUF"), GgufSource)
    assert isinstance(resolve("HuggingFaceTB/SmolLM2-360M-Instruct"), HubSource)


def test_an_existing_folder_wins_over_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert isinstance(resolve("org/name"), FolderSource)


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(
        UserError, match=r"^Unknown model 'smollm'\. Did you mean 'smollm2-135m'\? A model is a bundled"
    ):
        resolve("smollm")


@pytest.mark.parametrize("name", ["", "a/b/c", "/nowhere/at/all", "org/na me", "../up", "org/", "-x/y"])
def test_a_name_of_no_form_is_an_error(name: str) -> None:
    with pytest.raises(UserError, match="Unknown model"):
        resolve(name)


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, selfedit.models; assert not {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
