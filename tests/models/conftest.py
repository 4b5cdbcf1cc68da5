from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from selfedit.progress import Progress, QuietProgress
from tests.models.tiny_gguf import write_gguf
from tests.tiny import make_tiny_model


class Notes(QuietProgress):
    """Shows nothing and keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def quiet() -> Progress:
    return QuietProgress()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a cache of its own."""
    monkeypatch.setenv("SELFEDIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield make_tiny_model(tmp_path_factory.mktemp("llama") / "model")


@pytest.fixture(scope="session")
def tiny_gguf(tiny_llama: Path) -> Path:
    return write_gguf(tiny_llama, tiny_llama.parent / "tiny.gguf")
