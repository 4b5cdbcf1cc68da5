"""A run in one process, which the others are held against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.executors.inline import by_trial
from tests.experiments.test_train import run


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pool")


@pytest.fixture(scope="session")
def local(folder: Path) -> list[Any]:
    return by_trial(run(folder, "local", engine__chunk=2))
