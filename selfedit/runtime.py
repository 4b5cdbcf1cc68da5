"""What has to be settled before torch starts, and what a run records about the software it ran on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("selfedit", "torch", "transformers", "peft", "safetensors", "tokenizers", "numpy")


def prepare_threads() -> None:
    """Let idle threads sleep. Spinning ones steal the cores from those that work, 5 to 10 times over, when shared.

    Has an effect only before torch starts its threads; what the user has set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def software_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
