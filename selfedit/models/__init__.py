"""Base models by one name: a bundled name, a Hugging Face id, a local folder or a .gguf file."""

from __future__ import annotations

import re
from pathlib import Path

from selfedit.errors import UserError, nearest
from selfedit.models.base import ModelSource
from selfedit.models.bundled import BUNDLED, BundledSource
from selfedit.models.fingerprint import fingerprint
from selfedit.models.folder import FolderSource
from selfedit.models.gguf import GgufSource
from selfedit.models.hub import HubSource
from selfedit.models.load import BaseModel, load

__all__ = ["BUNDLED", "DEFAULT_MODEL", "BaseModel", "ModelSource", "fingerprint", "load", "resolve"]

DEFAULT_MODEL = "smollm2-135m"

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def resolve(name: str) -> ModelSource:
    """Decide by its form what `name` names. Raises UserError, with a suggestion, when it fits nothing."""
    if name in BUNDLED:
        return BundledSource(name)
    path = Path(name).expanduser() if name else Path("?")
    if name.lower().endswith(".gguf"):
        return GgufSource(path)
    if path.is_dir():
        return FolderSource(path)
    if _HUB_ID.fullmatch(name):
        return HubSource(name)
    raise UserError(
        f"Unknown model '{name}'. {nearest(name, BUNDLED)} "
        "A model is a bundled name, a Hugging Face id (org/name), a folder or a .gguf file."
    )
