"""The folder in which versions are kept. What is in it is whole, whenever whichever process was killed."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Literal

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
from selfedit.files.journal import Journal
from selfedit.files.peft_folder import ADAPTER_FILE, CONFIG_FILE
from selfedit.files.serialize import encode
from selfedit.store.adapters import AdapterFiles
from selfedit.store.card import card
from selfedit.store.lineage import BASE, Lineage
from selfedit.store.version_files import (
    HEAD,
    LEARNT,
    ROLLOUTS,
    decode_head,
    decode_version,
    encode_version,
    newly_learnt,
    with_id,
)
from selfedit.types import Adapter, Knowledge, Version

# Importing this module must not import torch, which takes seconds: listing versions does not need it.

FORMAT = 3
"""The newest layout of a store that this release reads, and the one that it writes."""

CARD_FILE = "README.md"

_KIND = "selfedit store"
_MARK = "store.json"
# What makes a version whole: today's form, or that of stores up to format 2, where its adapter lies beside.
_WHOLE = ((HEAD, ROLLOUTS, LEARNT), (HEAD, ROLLOUTS, ADAPTER_FILE, CONFIG_FILE))
_ID = re.compile(r"[vr][1-9][0-9]*")
_KEY = re.compile(r"[0-9a-f]{8,128}")
_INSTEAD = "name another folder with --store"
_LOCK_TIMEOUT_S = 60
# What a commit writes besides the weights: texts, and the folders themselves.
_SPARE_BYTES = 4_000_000

Letter = Literal["v", "r"]
"""How ids of versions begin: those that were committed, and those that the gates rejected."""


class MovedError(Exception):
    """Another version became active while one was being made on the one before."""


class Store:
    """A folder of versions. Several processes may use it at once.

    Attributes:
        adapters: the weights of all versions, by hash.
        lineage: the log of what was active when.
    """

    def __init__(self, path: Path) -> None:
        """Use `open`, which looks whether there is a store."""
        self.path = path
        self._folders: dict[Letter, Path] = {"v": path / "versions", "r": path / "rejected"}
        self._staging, self._work = path / "staging", path / "work"
        self.adapters = AdapterFiles(path / "adapters", self._folders["v"])
        self.lineage = Lineage(path / "lineage.jsonl")

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

    def ids(self, letter: Letter = "v") -> list[str]:
        """The ids of all whole versions, oldest first. Raises UserError when the store cannot be read."""
        folder = self._folders[letter]
        with reading(folder):
            names = self._numbered(letter) if folder.is_dir() else []
            return [name for name in names if self._is_whole(folder / name)]

    def versions(self, letter: Letter = "v") -> list[Version]:
        """All whole versions, oldest first. Raises UserError when one is damaged or cannot be read."""
        return [self._read(id) for id in self.ids(letter)]

    def heads(self, letter: Letter = "v") -> list[Version]:
        """As `versions`, but without rollouts and what each knows: enough to list them, and read in no time."""
        return [self._read(id, whole=False) for id in self.ids(letter)]

    def get(self, id: str | None = None) -> Version:
        """The version `id`, by default the active one. Raises UserError when there is none such, or it is damaged."""
        return self._read(self._known(id))

    @property
    def active(self) -> str | None:
        """The id of the version that answers and that the next one builds on; None is the base."""
        return self.lineage.active(self.ids())

    def activate(self, id: str | None, action: str) -> None:
        """Make a version, or with None the base, the active one.

        Raises:
            UserError: there is no such version, or the store cannot be written.
        """
        id = None if id is None else self._known(id)
        if id is not None and id.startswith("r"):
            raise UserError(f"{id} was rejected, and is never active. 'selfedit show {id}' says why.")
        self.ensure_writable()
        with writing(self.path, _INSTEAD), self._lock():
            self.lineage.activate(id, action)

    def adapter_folder(self, id: str | None = None) -> Path:
        """The PEFT folder of version `id` where one adapter is all of it.

        Raises:
            UserError: there is no such version, or it has several adapters.
        """
        version = self.get(id)
        if len(version.knowledge.adapters) != 1:
            raise UserError(f"Version {version.id} has {len(version.knowledge.adapters)} adapters, not one.")
        return self.adapters.folder(version.knowledge.adapters[0])

    def adapter(self, version: Version) -> Adapter:
        """The weights of a version that has one adapter. Raises UserError when they are not the ones committed."""
        self.check_adapter(version)
        return self.adapters.load(version.knowledge.adapters[0])

    def check_adapter(self, version: Version) -> None:
        """Raise UserError unless the weights of a version are, by their hashes, the ones that were committed."""
        try:
            for sha256 in sorted(version.knowledge.weights):
                self.adapters.check(sha256)
        except UserError as error:
            raise UserError(f"Version {version.id} cannot be used. {error}") from error

    def ensure_writable(self, need_bytes: int = 0) -> None:
        """Raise UserError unless a version can be written here and `need_bytes` of disk are free."""
        with writing(self.path, _INSTEAD):
            for folder in (*self._folders.values(), self.adapters.path, self._staging, self._work):
                folder.mkdir(exist_ok=True)
                try_writing(folder)
            ensure_space(self.path, need_bytes, _INSTEAD)

    def put_adapter(self, adapter: Adapter, base_name: str) -> str:
        """Keep an adapter that a version will refer to, and return its hash.

        Raises:
            UserError: the store cannot be written, the disk is full, or another process blocks it.
        """
        tensors = [tensor for pair in adapter.factors.values() for tensor in (pair.a_RI, pair.b_OR)]
        self.ensure_writable(sum(tensor.numel() * tensor.element_size() for tensor in tensors) + _SPARE_BYTES)
        with writing(self.path, _INSTEAD), self._lock():
            self._clear_staging()
            self._mark()
            return self.adapters.put(adapter, base_name, self._staging)

    def commit(
        self, version: Version, adapter: Adapter | None = None, *, letter: Letter = "v", on: str | None = None
    ) -> Version:
        """Add a version, and return it as it can be read back: with its new id and the hash of its weights.

        Until the last step, one rename, nothing of it can be seen; from then on all of it. One that was not rejected
        becomes the active one.

        Args:
            version: `id` and `adapter_sha256` are ignored.
            adapter: the weights, where one adapter is all of it; otherwise `version.knowledge` names those that were
                put here before.
            on: the version, or `BASE`, that has to be active still; None where that does not matter.

        Raises:
            MovedError: another version has become active.
            UserError: the store cannot be written, the disk is full, or another process blocks it.
            ValueError: a number in `version` is not finite.
            TypeError: something in `version.settings` has no form in JSON.
        """
        if adapter is not None:
            version = _in_one(version, self.put_adapter(adapter, version.base.name))
        self.ensure_writable(_SPARE_BYTES)
        version = replace(version, adapter_sha256=combined_sha256(version.knowledge.adapters))
        with writing(self.path, _INSTEAD), self._lock():
            if on is not None and on != (self.active or BASE):
                raise MovedError
            self._clear_staging()
            folder = self._staging / secrets.token_hex(8)
            folder.mkdir()
            self._mark()
            try:
                id = self._publish(version, folder, letter)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            if letter == "v":
                self.lineage.activate(id, version.action)
            return self._read(id)

    def _clear_staging(self) -> None:
        """Whoever holds the lock is alone, so that all that is found there belongs to dead processes."""
        for stale in filter(Path.is_dir, self._staging.iterdir()):
            shutil.rmtree(stale, ignore_errors=True)

    def prune(self) -> None:
        """Remove old adapters that nothing refers to, as killed runs leave them."""
        old = self.adapters.old()
        if not old - (self.get(self.active).knowledge.weights if self.active else frozenset()):
            return  # Without reading every version.
        with writing(self.path, _INSTEAD), self._lock():
            used = {
                sha256
                for letter in self._folders
                for version in self.versions(letter)
                for sha256 in version.knowledge.weights
            }
            self.adapters.remove(old - used)

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

    def _publish(self, version: Version, folder: Path, letter: Letter) -> str:
        """Move a staged folder to the next free number and return its id."""
        number = max(map(_number, self._numbered(letter)), default=0)
        while True:
            number += 1
            version = with_id(version, f"{letter}{number}")
            for name, data in encode_version(version).items():
                (folder / name).write_bytes(data)
            (folder / CARD_FILE).write_text(card(version), encoding="utf-8")
            sync_folder(folder)
            target = self._folders[letter] / version.id
            try:
                folder.rename(target)
            except OSError:
                # Where the file system has no locks, another process may have been faster.
                if not target.exists():
                    raise
                continue
            sync(self._folders[letter])
            sync(self.path)
            return version.id

    def _is_whole(self, folder: Path) -> bool:
        return any(all((folder / file).is_file() for file in files) for files in _WHOLE)

    def _numbered(self, letter: Letter) -> list[str]:
        """All names that a version could have, whole or not, in their order."""
        names = (path.name for path in self._folders[letter].iterdir())
        return sorted((name for name in names if _ID.fullmatch(name) and name[0] == letter), key=_number)

    def _known(self, id: str | None) -> str:
        """`id`, or the active one. Nothing but a listed name ever becomes part of a path."""
        ids, rejected = self.ids(), self.ids("r")
        if not ids and (id is None or not rejected):
            raise UserError(
                f"The store {self.path} has no version yet. Make one with 'selfedit learn FILE --store {self.path}'."
            )
        if id is None:
            active = self.lineage.active(ids)
            if active is None:
                raise UserError(
                    f"No version is active in {self.path}: the base answers. 'selfedit use ID' makes one active."
                )
            return active
        every = [*ids, *rejected]
        if id not in every:
            raise UserError(f"There is no version {id!r} in {self.path}. {nearest(id, every)}")
        return id

    def _read(self, id: str, whole: bool = True) -> Version:
        letter: Letter = "r" if id.startswith("r") else "v"
        folder = self._folders[letter] / id
        with reading(folder):
            head = (folder / HEAD).read_bytes()
            rollouts = (folder / ROLLOUTS).read_bytes() if whole else b""
            learnt = (folder / LEARNT).read_bytes() if whole and (folder / LEARNT).is_file() else None
        try:
            return replace(decode_version(head, rollouts, learnt) if whole else decode_head(head), id=id)
        except ValueError as error:
            raise UserError(
                f"Version {id} in {self.path} is damaged ({error}). Restore {folder} from a backup, or remove it."
            ) from error


def combined_sha256(adapters: Sequence[str]) -> str:
    """The hash of a version's weights: of its adapter or, of several, of their hashes in their order."""
    return adapters[0] if len(adapters) == 1 else hashlib.sha256("".join(adapters).encode()).hexdigest()


def _in_one(version: Version, sha256: str) -> Version:
    """The version with one adapter that holds all that it knows, which is what was new in it unless it says more."""
    learnt = version.knowledge.learnt or newly_learnt(replace(version, id=""))
    items = tuple(replace(item, adapter=sha256) for item in learnt)
    return replace(version, knowledge=Knowledge(version.knowledge.memory or "joint", items))


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
