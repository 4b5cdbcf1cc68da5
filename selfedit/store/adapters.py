"""The adapters of a store: PEFT folders named by the hash of their weights, each kept once whoever refers to it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from selfedit.errors import UserError
from selfedit.files.disk import reading, sync, sync_folder
from selfedit.files.hashing import sha256_of_file
from selfedit.files.peft_folder import ADAPTER_FILE, load_adapter, save_adapter
from selfedit.types import Adapter

_HASH = re.compile(r"[0-9a-f]{64}")
# What a killed run left is found again by the same command; after a week nobody comes back for it.
_ABANDONED_S = 7 * 86_400


class AdapterFiles:
    """Adapters by hash.

    Args:
        path: the folder of them.
        versions: where releases before 0.2 kept each version's adapter in the version's own folder.
    """

    def __init__(self, path: Path, versions: Path) -> None:
        self.path, self._versions = path, versions

    def put(self, adapter: Adapter, base_name: str, staging: Path) -> str:
        """Keep an adapter and return its hash. Until a rename nothing of it can be seen.

        Args:
            staging: an existing folder on the same disk, for the time of writing.

        Raises:
            OSError, SafetensorError: it cannot be written.
        """
        folder = staging / secrets.token_hex(8)
        folder.mkdir()
        try:
            save_adapter(adapter, folder, base_name)
            sha256 = sha256_of_file(folder / ADAPTER_FILE)
            target = self.path / sha256
            if target.is_dir():
                os.utime(target)  # Wanted again.
            else:
                sync_folder(folder)
                folder.rename(target)
                sync(self.path)
            return sha256
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def holds(self, sha256: str) -> bool:
        """Whether there is an adapter of that hash."""
        return bool(_HASH.fullmatch(sha256)) and ((self.path / sha256).is_dir() or sha256 in self._of_versions)

    def folder(self, sha256: str) -> Path:
        """The PEFT folder of an adapter.

        Raises:
            UserError: it is gone.
        """
        if not self.holds(sha256):
            raise UserError(
                f"The adapter {sha256[:16]}… is missing from {self.path}. Restore it from a backup, or learn the "
                "documents again."
            )
        path = self.path / sha256
        return path if path.is_dir() else self._of_versions[sha256]

    def load(self, sha256: str) -> Adapter:
        """The weights of that hash.

        Raises:
            UserError: they are gone, or not the ones that were committed.
        """
        self.check(sha256)
        return load_adapter(self.folder(sha256))

    def check(self, sha256: str) -> None:
        """Raise UserError unless the weights are, by their hash, the ones that were committed."""
        file = self.folder(sha256) / ADAPTER_FILE
        with reading(file):
            found = sha256_of_file(file)
        if found != sha256:
            raise UserError(
                f"The adapter {sha256[:16]}… was changed or damaged: {file} has sha256 {found[:16]}…. "
                "Restore it from a backup, or learn the documents again."
            )

    def old(self) -> set[str]:
        """The hashes of those that no run will come back for, if no version refers to them."""
        with suppress(OSError):
            folders = list(self.path.iterdir())
            return {each.name for each in folders if time.time() - each.stat().st_mtime > _ABANDONED_S}
        return set()

    def remove(self, hashes: Collection[str]) -> None:
        """Remove what no version refers to. Call it while nobody else writes."""
        for sha256 in hashes:
            shutil.rmtree(self.path / sha256, ignore_errors=True)

    @cached_property
    def _of_versions(self) -> dict[str, Path]:
        """The adapters that lie in versions' folders, by hash. No such folder is made any more."""
        folders: dict[str, Path] = {}
        with reading(self._versions):
            paths = list(self._versions.iterdir()) if self._versions.is_dir() else []
        for path in paths:
            if (path / ADAPTER_FILE).is_file():
                with suppress(OSError, ValueError, KeyError, TypeError):
                    folders[json.loads((path / "version.json").read_bytes())["adapter_sha256"]] = path
        return folders
