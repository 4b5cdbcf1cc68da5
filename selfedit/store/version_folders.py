"""Folders of versions: those that were committed, those that were rejected, and those that wait for approval."""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

from selfedit.errors import UserError
from selfedit.files.disk import reading, sync, sync_folder
from selfedit.files.peft_folder import ADAPTER_FILE, CONFIG_FILE
from selfedit.store.card import card
from selfedit.store.version_files import (
    HEAD,
    LEARNT,
    ROLLOUTS,
    decode_head,
    decode_version,
    encode_version,
    with_id,
)
from selfedit.types import Version

CARD_FILE = "README.md"

Letter = Literal["v", "r", "p"]
"""How ids of versions begin: those that were committed, that were rejected, and that wait for approval."""

LETTERS: tuple[Letter, ...] = ("v", "r", "p")

# What makes a version whole: today's form, or that of stores up to format 2, where its adapter lies beside.
_WHOLE = ((HEAD, ROLLOUTS, LEARNT), (HEAD, ROLLOUTS, ADAPTER_FILE, CONFIG_FILE))
_ID = re.compile(r"[vrp][1-9][0-9]*")


def letter_of(id: str) -> Letter:
    """What became of the version of that id."""
    return next(letter for letter in LETTERS if id.startswith(letter))


class VersionFolders:
    """A folder a version, written whole or not at all.

    Args:
        path: of the store.
    """

    def __init__(self, path: Path) -> None:
        self._store = path
        self.folders: dict[Letter, Path] = {"v": path / "versions", "r": path / "rejected", "p": path / "pending"}

    def ids(self, letter: Letter) -> list[str]:
        """The ids of all whole ones, oldest first. Raises UserError when they cannot be read."""
        folder = self.folders[letter]
        with reading(folder):
            names = self._numbered(letter) if folder.is_dir() else []
            return [name for name in names if _is_whole(folder / name)]

    def read(self, id: str, whole: bool = True) -> Version:
        """The version of a listed id, without rollouts and what it knows unless `whole`.

        Raises:
            UserError: it is damaged or cannot be read.
        """
        folder = self.folders[letter_of(id)] / id
        with reading(folder):
            head = (folder / HEAD).read_bytes()
            rollouts = (folder / ROLLOUTS).read_bytes() if whole else b""
            learnt = (folder / LEARNT).read_bytes() if whole and (folder / LEARNT).is_file() else None
        try:
            return replace(decode_version(head, rollouts, learnt) if whole else decode_head(head), id=id)
        except ValueError as error:
            raise UserError(
                f"Version {id} in {self._store} is damaged ({error}). Restore {folder} from a backup, or remove it."
            ) from error

    def sha256(self, id: str) -> str:
        """The hash of all that a version of a listed id says. Raises UserError when it cannot be read."""
        folder = self.folders[letter_of(id)] / id
        digest = hashlib.sha256()
        with reading(folder):
            for name in (HEAD, ROLLOUTS, LEARNT):
                data = (folder / name).read_bytes() if (folder / name).is_file() else b""
                digest.update(f"{name} {len(data)}\n".encode() + data)
        return digest.hexdigest()

    def publish(self, version: Version, folder: Path, letter: Letter) -> str:
        """Write a version into the staged `folder`, move that to the next free number, and return its id.

        Raises OSError; and ValueError and TypeError as `encode_version` does.
        """
        number = max(map(_number, self._numbered(letter)), default=0)
        while True:
            number += 1
            version = with_id(version, f"{letter}{number}")
            for name, data in encode_version(version).items():
                (folder / name).write_bytes(data)
            (folder / CARD_FILE).write_text(card(version), encoding="utf-8")
            sync_folder(folder)
            target = self.folders[letter] / version.id
            try:
                folder.rename(target)
            except OSError:
                # Where the file system has no locks, another process may have been faster.
                if not target.exists():
                    raise
                continue
            sync(self.folders[letter])
            sync(self._store)
            return version.id

    def remove(self, id: str, staging: Path) -> None:
        """Remove one that is listed; its number is never given again. Raises OSError."""
        folder = self.folders[letter_of(id)] / id
        gone = staging / secrets.token_hex(8)
        folder.rename(gone)
        folder.mkdir()
        sync(folder.parent)
        shutil.rmtree(gone, ignore_errors=True)

    def _numbered(self, letter: Letter) -> list[str]:
        """All names that a version could have, whole or not, in their order."""
        names = (path.name for path in self.folders[letter].iterdir())
        return sorted((name for name in names if _ID.fullmatch(name) and name[0] == letter), key=_number)


def _is_whole(folder: Path) -> bool:
    return any(all((folder / file).is_file() for file in files) for files in _WHOLE)


def _number(id: str) -> int:
    return int(id[1:])
