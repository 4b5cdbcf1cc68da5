"""What has to be the same on every machine for results to be the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from selfedit.files.hashing import update_sha256
from selfedit.runtime import software_versions
from selfedit.types import Model

CODE = "selfedit's code"


def software() -> dict[str, str]:
    """The packages that decide a result, and the hash of selfedit's own code."""
    return {**software_versions(), CODE: code_sha256()}


@cache
def code_sha256() -> str:
    """Of all Python files of the package, by their names."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def difference(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """The first that differs, in words; empty if none does. A build of torch ('+cpu', '+cu128') may be another."""
    for name in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(name, "none"), theirs.get(name, "none")
        if mine.partition("+")[0] != other.partition("+")[0]:
            what = f"{name} {other}, and here it is {mine}"
            return what if name != CODE else f"another {CODE} (hash {other[:12]}, and here {mine[:12]})"
    return ""


def model_sha256(model: Model) -> str:
    """Of a base with all that lies on it."""
    digest = hashlib.sha256(model.base.fingerprint.encode())
    for update in model.updates:
        digest.update(update_sha256(update).encode())
    digest.update(str(len(model.merged)).encode())
    return digest.hexdigest()
