"""Tells whether two base models are the same, so that an adapter is never put onto another model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from selfedit.errors import UserError
from selfedit.files.hashing import sha256_of_files

# What different releases of transformers write for one and the same model.
_VOLATILE = ("transformers_version", "_name_or_path", "_model_name_or_path")


def fingerprint(folder: Path) -> str:
    """The hex SHA-256 over a model folder's configuration and the contents of its *.safetensors files, by name.

    Raises UserError when the folder holds no weights or cannot be read.
    """
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise UserError(f"No *.safetensors file in {folder}. A model folder holds its weights as safetensors.")
    digest = hashlib.sha256()
    try:
        digest.update(_config(folder / "config.json"))
        for path, value in zip(weights, sha256_of_files(weights), strict=True):
            digest.update(f"{path.name} {value}\n".encode())
    except OSError as error:
        raise UserError(f"Cannot read the model in {folder}: {error}. Check the folder and its permissions.") from error
    return digest.hexdigest()


def _config(path: Path) -> bytes:
    raw = path.read_bytes()
    try:
        config = json.loads(raw)
    except ValueError:
        return raw
    if not isinstance(config, dict):
        return raw
    return json.dumps({k: v for k, v in config.items() if k not in _VOLATILE}, sort_keys=True).encode()
