"""The folder in which versions are kept. What is in it is whole, whenever whichever process was killed."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from selfedit.errors import UserError, nearest
from selfedit.files.disk import (
    PARTIAL,
    ensure_space,
    reading,
    sync,
    sync_folder,
    try_writing,
    write_whole,
    writing,
)
from selfedit.files.hashing import sha256_of_file
from selfedit.files.journal import Journal
from selfedit.files.peft_folder import ADAPTER_FILE, CONFIG_FILE, load_adapter, save_adapter
from selfedit.files.serialize import encode
from selfedit.store.card import card
from selfedit.store.version_files import decode_version, encode_version
from selfedit.types import Adapter, Version

# Importing this module must not import torch, which takes seconds: listing versions does not need it.

FORMAT = 2
"""The newest layout of a store that this release reads, and the one that it writes."""

CARD_FILE = "README.md"

_KIND = "selfedit store"
_MARK = "store.json"
_HEAD, _ROLLOUTS = "version.json", "rollouts.jsonl"
_FILES = (_HEAD, _ROLLOUTS, ADAPTER_FILE, CONFIG_FILE)
_ID = re.compile(r"v[1-9][0-9]*")
_KEY = re.compile(r"[0-9a-f]{8,128}")
_INSTEAD = "name another folder with --store"
_LOCK_TIMEOUT_S = 60
# What a commit writes besides the weights: texts, and the folders themselves.
_SPARE_BYTES = 4_000_000


class Store:
    """A folder of versions. Several processes may use it at once."""

    def __init__(self, path: Path) -> None:
        """Use `open`, which looks whether there is a store."""
        self.path = path
        self._versions, self._staging, self._work = path / "versions", path / "staging", path / "work"

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Store:
        """Open the store at `path`; where there is none yet, make one if `create` is set. Otherwise writes nothing.

        Raises:
            UserError: there is no store and `create` is not set, the path is something else, the store is damaged
                or of a newer format, or it cannot be read or made.
        """
        path = path.expanduser()
        if not _is_store(path):
            if not create:
                raise UserError(f"There is no store at {path}. Make one with 'selfedit learn FILE --store {path}'.")
            with writing(path, _INSTEAD):
                path.mkdir(parents=True, exist_ok=True)
                write_whole(path / _MARK, encode({"format": FORMAT, "kind": _KIND}) + b"\n")
        _check_format(path)
        return cls(path)

    @classmethod
    def check(cls, path: Path, need_bytes: int = 0) -> None:
        """Raise UserError if no version with `need_bytes` of weights could be written at `path`.

        Where there is no store yet, none is made.
        """
        path = path.expanduser()
        if _is_store(path):
            cls.open(path).ensure_writable(need_bytes + _SPARE_BYTES)
            return
        with writing(path, _INSTEAD):
            parent = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
            try_writing(parent)
            ensure_space(parent, need_bytes + _SPARE_BYTES, _INSTEAD)

    def ids(self) -> list[str]:
        """The ids of all whole versions, oldest first. Raises UserError when the store cannot be read."""
        with reading(self._versions):
            names = self._numbered() if self._versions.is_dir() else []
            return [name for name in names if all((self._versions / name / file).is_file() for file in _FILES)]

    def versions(self) -> list[Version]:
        """All whole versions, oldest first. Raises UserError when one is damaged or cannot be read."""
        return [self._read(id) for id in self.ids()]

    def get(self, id: str | None = None) -> Version:
        """The version `id`, by default the latest. Raises UserError when there is none such, or it is damaged."""
        return self._read(self._known(id))

    def adapter_folder(self, id: str | None = None) -> Path:
        """The PEFT folder of version `id`, by default the latest. Raises UserError when there is none such."""
        return self._versions / self._known(id)

    def adapter(self, version: Version) -> Adapter:
        """The weights of a version. Raises UserError when they are not the ones that were committed."""
        folder = self.adapter_folder(version.id)
        self.check_adapter(version)
        return load_adapter(folder)

    def check_adapter(self, version: Version) -> None:
        """Raise UserError unless the weights of a version are, by their hash, the ones that were committed."""
        file = self.adapter_folder(version.id) / ADAPTER_FILE
        with reading(file):
            sha256 = sha256_of_file(file)
        if sha256 != version.adapter_sha256:
            raise UserError(
                f"The adapter of version {version.id} was changed or damaged: {file} has sha256 {sha256[:16]}…, not "
                f"{version.adapter_sha256[:16]}…. Restore it from a backup, or learn the documents again."
            )

    def ensure_writable(self, need_bytes: int = 0) -> None:
        """Raise UserError unless a version can be written here and `need_bytes` of disk are free."""
        with writing(self.path, _INSTEAD):
            for folder in (self._versions, self._staging, self._work):
                folder.mkdir(exist_ok=True)
                try_writing(folder)
            ensure_space(self.path, need_bytes, _INSTEAD)

    def commit(self, version: Version, adapter: Adapter) -> Version:
        """Add a version, and return it as it can be read back: with its new id and the hash of its weights.

        Until the last step, one rename, nothing of it can be seen; from then on all of it.

        Args:
            version: `id` and `adapter_sha256` are ignored.
            adapter: the weights.

        Raises:
            UserError: the store cannot be written, the disk is full, or another process blocks it.
            ValueError: a number in `version` is not finite.
            TypeError: something in `version.settings` has no form in JSON.
        """
        tensors = [tensor for pair in adapter.factors.values() for tensor in (pair.a_RI, pair.b_OR)]
        self.ensure_writable(sum(tensor.numel() * tensor.element_size() for tensor in tensors) + _SPARE_BYTES)
        with writing(self.path, _INSTEAD), self._lock():
            # Whoever holds the lock is alone, so that all that is found here belongs to dead processes.
            for stale in filter(Path.is_dir, self._staging.iterdir()):
                shutil.rmtree(stale, ignore_errors=True)
            folder = self._staging / secrets.token_hex(8)
            folder.mkdir()
            self._mark()
            try:
                save_adapter(adapter, folder, version.base.name)
                version = replace(version, adapter_sha256=sha256_of_file(folder / ADAPTER_FILE))
                return self._read(self._publish(version, folder))
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _mark(self) -> None:
        """Say that there is something in this release's form, which an earlier one cannot read."""
        write_whole(self.path / _MARK, encode({"format": FORMAT, "kind": _KIND}) + b"\n")

    def journal(self, key: str) -> Journal:
        """Open the journal of the unfinished work `key`, a hex hash of all that decides what the work makes.

        Raises:
            UserError: another process is at this work, or the store cannot be written.
            ValueError: `key` is not a hex hash.
        """
        return Journal.open(self._work_folder(key))

    def clear_journal(self, key: str) -> None:
        """Forget the progress of the work `key`, which is done. Call it before closing the journal.

        Raises ValueError when `key` is not a hex hash.
        """
        shutil.rmtree(self._work_folder(key), ignore_errors=True)

    def _work_folder(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a hex hash: {key!r}")
        return self._work / key

    def _lock(self) -> AbstractContextManager[object]:
        try:
            return FileLock(self._staging / "lock").acquire(timeout=_LOCK_TIMEOUT_S)
        except Timeout:
            raise UserError(
                f"Another selfedit has been writing to {self.path} for {_LOCK_TIMEOUT_S} s. "
                f"Wait for it or end it, or {_INSTEAD}."
            ) from None

    def _publish(self, version: Version, folder: Path) -> str:
        """Move a staged folder to the next free number and return its id."""
        number = max(map(_number, self._numbered()), default=0)
        while True:
            number += 1
            version = replace(version, id=f"v{number}")
            head, rollouts = encode_version(version)
            (folder / _HEAD).write_bytes(head)
            (folder / _ROLLOUTS).write_bytes(rollouts)
            (folder / CARD_FILE).write_text(card(version), encoding="utf-8")
            sync_folder(folder)
            target = self._versions / version.id
            try:
                folder.rename(target)
            except OSError:
                # Where the file system has no locks, another process may have been faster.
                if not target.exists():
                    raise
                continue
            sync(self._versions)
            sync(self.path)
            return version.id

    def _numbered(self) -> list[str]:
        """All names that a version could have, whole or not, in their order."""
        return sorted(filter(_ID.fullmatch, (path.name for path in self._versions.iterdir())), key=_number)

    def _known(self, id: str | None) -> str:
        """`id`, or the latest one. Nothing but a listed name ever becomes part of a path."""
        ids = self.ids()
        if not ids:
            raise UserError(
                f"The store {self.path} has no version yet. Make one with 'selfedit learn FILE --store {self.path}'."
            )
        if id is not None and id not in ids:
            raise UserError(f"There is no version {id!r} in {self.path}. {nearest(id, ids)}")
        return id or ids[-1]

    def _read(self, id: str) -> Version:
        folder = self._versions / id
        with reading(folder):
            head, rollouts = (folder / _HEAD).read_bytes(), (folder / _ROLLOUTS).read_bytes()
        try:
            return replace(decode_version(head, rollouts), id=id)
        except ValueError as error:
            raise UserError(
                f"Version {id} in {self.path} is damaged ({error}). Restore {folder} from a backup, or remove it."
            ) from error


def check_base(version: Version, fingerprint: str, name: str) -> None:
    """Raise UserError unless a version was made for the base model of this fingerprint, known as `name`."""
    if version.base.fingerprint == fingerprint:
        return
    made_for = version.base.name
    if made_for == name:
        raise UserError(
            f"Version {version.id} was made for another {name}: its weights or configuration have changed since "
            f"(fingerprint {version.base.fingerprint[:16]}…, now {fingerprint[:16]}…). "
            "Restore the model, or learn the documents again."
        )
    raise UserError(f"Version {version.id} was made for {made_for}, not for {name}; use --model {made_for}.")


def _number(id: str) -> int:
    return int(id[1:])


def _is_store(path: Path) -> bool:
    """Whether there is a store; False where one could be made. Raises UserError where there is something else."""
    with reading(path):
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file, not a store. Name a folder with --store.")
        foreign = path.is_dir() and any(not entry.name.startswith(PARTIAL) for entry in path.iterdir())
        # After the listing: another process may be making the store at this moment.
        if (path / _MARK).is_file():
            return True
    if foreign:
        raise UserError(
            f"{path} is not a store: it holds other files and no {_MARK}. Name another folder with --store."
        )
    return False


def _check_format(path: Path) -> None:
    file = path / _MARK
    with reading(file):
        data = file.read_bytes()
    try:
        mark = json.loads(data)
        kind, number = mark["kind"], mark["format"]
    except (ValueError, KeyError, TypeError):
        kind = number = None
    if kind != _KIND or type(number) is not int or number < 1:
        raise UserError(
            f"{file} is damaged or not selfedit's. If {path} is a store, restore the file: "
            f'{{"format": {FORMAT}, "kind": "{_KIND}"}}.'
        )
    if number > FORMAT:
        raise UserError(
            f"The store {path} was made by a newer selfedit (store format {number}, this one reads up to {FORMAT}); "
            "upgrade with 'pip install --upgrade selfedit'."
        )
