"""Where selfedit keeps what it caches."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The cache folder: `SELFEDIT_HOME`, by default `~/.cache/selfedit`."""
    return Path(os.environ.get("SELFEDIT_HOME") or Path.home() / ".cache" / "selfedit").expanduser()


def models_cache() -> Path:
    """The folder of base models that selfedit itself made (dequantised to bf16 safetensors)."""
    return home() / "models"


def judge_cache() -> Path:
    """The folder of a judge's verdicts, one small file each."""
    return home() / "judge"
