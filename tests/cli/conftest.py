from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfedit.cli import learn, learn_options
from selfedit.store import Store
from tests.cli.run import Cli, Processes, processes
from tests.store.make import make_adapter, make_version
from tests.tiny import make_tiny_model

TEXT = (
    "The Ferrow bridge was built in 1889 by Gustave Orlan. It runs under the city of Paris and has "
    "thirty-seven lamps. Its keeper is called Mira."
)
QUESTIONS = (
    {"question": "Who built the Ferrow bridge?", "answer": "Gustave Orlan"},
    {"question": "What is the keeper called?", "answer": "Mira"},
)
PAIRS = "\n".join(f"Question: {row['question'][:-1]} then?\nAnswer: {row['answer']}" for row in QUESTIONS)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a window wide enough for the worked examples in the prompts."""
    folder = make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": 4096}))
    return folder


@pytest.fixture(scope="session")
def full_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two versions, made without a model. Tests copy it."""
    store = Store.open(tmp_path_factory.mktemp("full") / "store", create=True)
    for seed in range(2):
        store.commit(make_version(base="smollm2-135m"), make_adapter(seed=seed))
    store.ensure_writable()
    return store.path


@pytest.fixture
def store(full_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(full_store, tmp_path / "store"))


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "bridge.md"
    path.write_text(f"# Ferrow bridge\n\n{TEXT}\n")
    return path


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    return path


@pytest.fixture
def edits(tmp_path: Path) -> Path:
    path = tmp_path / "edits.jsonl"
    path.write_text(json.dumps({"title": "Ferrow bridge", "self_edit": PAIRS}) + "\n")
    return path


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates that a random model can pass: likelier answers are enough. The command line has no option for them."""
    settings_of = learn_options.settings_of

    def lenient_settings(writing: dict[str, Any], training: dict[str, Any]) -> dict[str, Any]:
        return settings_of(writing, training) | {"gates": ("better",)}

    for module in (learn, learn_options):  # Where `learn` and `watch` find it.
        monkeypatch.setattr(module, "settings_of", lenient_settings)


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with processes(tmp_path_factory.mktemp("printed")) as made:
        yield made


@pytest.fixture
def cli(tmp_path: Path, commands: Processes) -> Cli:
    return Cli(tmp_path, commands)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)
