from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch

from selfedit.models import load
from selfedit.models.load import BaseModel
from tests.lineage import Library
from tests.tiny import make_tiny_model


@pytest.fixture(scope="package")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseModel]:
    """A tiny model in float32, so that its words do not hang on what else is asked with them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("selfedit.models.load"), "default_dtype", lambda place: torch.float32)
        yield load(str(make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")), device="cpu")


@pytest.fixture
def library(base: BaseModel, tmp_path: Path) -> Library:
    return Library(tmp_path, Path(base.folder), base)
