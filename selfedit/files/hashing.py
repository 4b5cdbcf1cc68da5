"""SHA-256 of files, remembered between runs as long as a file stays as it was."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from selfedit.paths import home
from selfedit.types import FullWeights, Update

_CHUNK_BYTES = 1 << 22

# A file changed twice within one tick of its clock looks the same both times, so that the hash of a file
# touched this recently is not remembered.
_RACY_NS = 2_000_000_000


def sha256_of_file(path: Path) -> str:
    """The hex SHA-256 of a file's contents, always computed. Raises OSError when it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_of_files(paths: Iterable[Path]) -> list[str]:
    """The hex SHA-256 of each file, taken from the cache in `SELFEDIT_HOME` where a file has not changed since.

    Raises OSError when a file cannot be read. A cache that is broken or cannot be written is ignored.
    """
    known = _read_cache()
    hashes, fresh = [], {}
    for path in paths:
        key, state = str(path.resolve()), _state(path)
        entry = known.get(key)
        if entry is not None and entry[:-1] == state:
            hashes.append(entry[-1])
            continue
        value = sha256_of_file(path)
        hashes.append(value)
        if state == _state(path) and time.time_ns() - max(int(s) for s in state[1:]) > _RACY_NS:
            fresh[key] = [*state, value]
    if fresh:
        _write_cache({key: entry for key, entry in known.items() if Path(key).exists()} | fresh)
    return hashes


def _state(path: Path) -> list[str]:
    status = path.stat()
    return [str(status.st_size), str(status.st_mtime_ns), str(status.st_ctime_ns)]


def _cache_file() -> Path:
    return home() / "fingerprints.json"


def _read_cache() -> dict[str, list[str]]:
    try:
        data = json.loads(_cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(data, dict):
        return {}
    return {
        key: entry
        for key, entry in data.items()
        if isinstance(entry, list) and len(entry) == 4 and all(isinstance(part, str) for part in entry)
    }


def _write_cache(data: dict[str, list[str]]) -> None:
    target = _cache_file()
    partial = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_text(json.dumps(data, indent=1), encoding="utf-8")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError:
        return  # A cache folder that cannot be written costs time, not correctness.


def update_sha256(update: Update) -> str:
    """The hash of an update's weights."""
    digest = hashlib.sha256()
    if isinstance(update, FullWeights):
        for name, weight in sorted(update.weights.items()):
            digest.update(name.encode())
            digest.update(weight.float().contiguous().numpy().tobytes())
        return digest.hexdigest()
    for name, factors in sorted(update.factors.items()):
        digest.update(name.encode())
        for part in (factors.a_RI, factors.b_OR):
            digest.update(part.contiguous().numpy().tobytes())
    return digest.hexdigest()
