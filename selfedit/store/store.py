"""The folder in which versions are kept. What is in it is whole, whenever whichever process was killed."""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from selfedit.audit import Action, AuditLog, checked_actor, default_actor
from selfedit.errors import UserError, nearest
from selfedit.files.disk import ensure_space, try_writing, writing
from selfedit.files.journal import Journal
from selfedit.rules import Rules, RulesFiles
from selfedit.store.adapters import AdapterFiles
from selfedit.store.admission import Admission
from selfedit.store.drift import DriftFiles
from selfedit.store.feedback import Feedback, FeedbackFile
from selfedit.store.lineage import BASE, Lineage
from selfedit.store.lock import StoreLock
from selfedit.store.mark import check_format, is_store, write_mark
from selfedit.store.version_files import newly_learnt
from selfedit.store.version_folders import LETTERS, Letter, VersionFolders, letter_of
from selfedit.types import Adapter, DocumentRef, DriftFigures, Knowledge, Version

# Importing this module must not import torch, which takes seconds: listing versions does not need it.

_KEY = re.compile(r"[0-9a-f]{8,128}")
_INSTEAD = "name another folder with --store"
# What a commit writes besides the weights: texts, and the folders themselves.
_SPARE_BYTES = 4_000_000


class MovedError(Exception):
    """Another version became active while one was being made on the one before."""


class Store:
    """A folder of versions. Several processes may use it at once.

    Attributes:
        adapters: the weights of all versions, by hash.
        lineage: the log of what was active when.
        audit: the log of all that was done.
        locked: taken for the time of a block, keeps everybody else from writing.
        admission: what the rules let pass.
        feedback: what people said of answers.
        drift: what was measured of it after versions were made.
    """

    def __init__(self, path: Path, actor: str | None = None, note: Callable[[str], None] = lambda _: None) -> None:
        """Use `open`, which looks whether there is a store."""
        self.path = path
        self._staging, self._work = path / "staging", path / "work"
        self._versions = VersionFolders(path)
        self.locked = StoreLock(self._staging, path, _INSTEAD)
        self.adapters = AdapterFiles(path / "adapters", self._versions.folders["v"])
        self.lineage = Lineage(path / "lineage.jsonl")
        who = default_actor() if actor is None else checked_actor(actor)
        self.audit = AuditLog(path, self.locked, who, self._contents, note)
        self.rules_files = RulesFiles(path / "rules", self.audit)
        self.admission = Admission(self.rules_files, self.audit, self.home)
        self.drift = DriftFiles(path / "drift")
        self.feedback = FeedbackFile(path / "feedback.jsonl", self.audit)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool = False,
        actor: str | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> Store:
        """Open the store at `path`; where there is none yet, make one if `create` is set. Otherwise writes nothing.

        Args:
            actor: who acts, for the audit log; None is whoever the environment names.
            note: is told what was repaired.

        Raises:
            UserError: there is no store and `create` is not set, the path is something else, the store is damaged
                or of a newer format, or it cannot be read or made.
        """
        path = path.expanduser()
        if not is_store(path):
            if not create:
                raise UserError(f"There is no store at {path}. Make one with 'selfedit learn FILE --store {path}'.")
            with writing(path, _INSTEAD):
                path.mkdir(parents=True, exist_ok=True)
                write_mark(path)
        check_format(path)
        return cls(path, actor, note)

    @classmethod
    def check(cls, path: Path, need_bytes: int = 0) -> None:
        """Raise UserError if no version with `need_bytes` of weights could be written at `path`.

        Where there is no store yet, none is made.
        """
        path = path.expanduser()
        if is_store(path):
            cls.open(path).ensure_writable(need_bytes + _SPARE_BYTES)
            return
        with writing(path, _INSTEAD):
            parent = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
            try_writing(parent)
            ensure_space(parent, need_bytes + _SPARE_BYTES, _INSTEAD)

    @property
    def home(self) -> Path:
        """The folder that the store is in: documents' paths are relative to it."""
        return self.path.resolve().parent

    @property
    def rules(self) -> Rules:
        """The rules in force. Raises UserError when they were changed otherwise than by `set_rules`."""
        return self.rules_files.read()

    def ids(self, letter: Letter = "v") -> list[str]:
        """The ids of all whole versions, oldest first. Raises UserError when the store cannot be read."""
        return self._versions.ids(letter)

    def versions(self, letter: Letter = "v") -> list[Version]:
        """All whole versions, oldest first. Raises UserError when one is damaged or cannot be read."""
        return [self._versions.read(id) for id in self.ids(letter)]

    def heads(self, letter: Letter = "v") -> list[Version]:
        """As `versions`, but without rollouts and what each knows: enough to list them, and read in no time."""
        return [self._versions.read(id, whole=False) for id in self.ids(letter)]

    def head(self, id: str) -> Version:
        """One of them. Raises UserError when there is none such, or it is damaged."""
        return self._versions.read(self._known(id), whole=False)

    def get(self, id: str | None = None) -> Version:
        """The version `id`, by default the active one. Raises UserError when there is none such, or it is damaged."""
        return self._versions.read(self._known(id))

    def sha256(self, id: str) -> str:
        """The hash of all that a version says. Raises UserError when there is none such."""
        return self._versions.sha256(self._known(id))

    @property
    def active(self) -> str | None:
        """The id of the version that answers and that the next one builds on; None is the base."""
        ids = self.ids()
        if not self.lineage.history() and (began := self.audit.began_with()) is not None:
            # Stores of earlier releases had no lineage; what came later and is not in it never took effect.
            ids = [id for id in ids if id in began]
        return self.lineage.active(ids)

    def activate(self, id: str | None, action: str) -> None:
        """Make a version, or with None the base, the active one.

        Raises:
            UserError: there is no such version, or the store cannot be written.
            LimitError: it never took effect, since its process was killed, and the rules allow no update now.
        """
        id = None if id is None else self._known(id)
        if id is not None and id.startswith("r"):
            raise UserError(f"{id} was rejected, and is never active. 'selfedit show {id}' says why.")
        if id is not None and id.startswith("p"):
            raise UserError(
                f"{id} waits for approval. Look at it with 'selfedit pending {id}'; 'selfedit approve {id}'."
            )
        self.ensure_writable()
        with writing(self.path, _INSTEAD), self.locked():
            self.audit.begin()
            if id is not None and not self.is_logged(id):
                self._log_committed(self._versions.read(id, whole=False))
            self.audit.record("rolled back" if action == "rollback" else "activated", id or BASE, by=action)
            self.lineage.activate(id, action)

    def is_logged(self, id: str) -> bool:
        """Whether the audit log knows a version; one whose process was killed while it was committed is not."""
        for entry in self.audit.entries():
            began = entry.details.get("versions", ()) if entry.action == "began" else ()
            if id in began or (entry.subject == id and entry.action in ("committed", "forgot", "rejected", "held")):
                return True
        return False

    def set_rules(self, data: bytes, name: str) -> Rules:
        """Put other rules in force, given as YAML, and return them.

        Raises:
            UserError: they are none or can never be met, whoever acts may not change them, or they cannot be written.
        """
        self.ensure_writable()
        with writing(self.path, _INSTEAD), self.locked():
            self.audit.begin()
            self.admission.approver()
            return self.rules_files.set(data, name, self.home)

    def admit(self, documents: Sequence[DocumentRef], tokens: Sequence[int]) -> None:
        """Say that documents, of so many tokens each, are read. Raises LimitError where the rules do not let them."""
        self.ensure_writable()
        with writing(self.path, _INSTEAD), self.locked():
            self.audit.begin()
            self.admission.documents(documents, tokens)

    def add_feedback(self, given: Sequence[Feedback]) -> list[Feedback]:
        """Store what people said of answers, and return it as it is stored; what was said already is not said twice.

        Raises:
            UserError: one is none, or the store cannot be written.
        """
        self.ensure_writable()
        with writing(self.path, _INSTEAD), self.locked():
            self.audit.begin()
            return self.feedback.add(given)

    def known_drift(self, version: Version) -> tuple[DriftFigures, ...]:
        """What was measured of a version's drift, when it was made or since. Raises UserError as reading does."""
        return self.drift.get(self.sha256(version.id), tuple[DriftFigures, ...]) or version.drift

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
            for folder in (*self._versions.folders.values(), self.adapters.path, self._staging, self._work):
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
        with writing(self.path, _INSTEAD), self.locked():
            self._clear_staging()
            write_mark(self.path)
            return self.adapters.put(adapter, base_name, self._staging)

    def commit(
        self, version: Version, adapter: Adapter | None = None, *, letter: Letter = "v", on: str | None = None
    ) -> Version:
        """Add a version, and return it as it can be read back: with its new id and the hash of its weights.

        Until the last step, one rename, nothing of it can be seen; from then on all of it. One that was not rejected
        becomes the active one, unless the rules say that it has to wait for approval: then its id begins with a p.

        Args:
            version: `id` and `adapter_sha256` are ignored.
            adapter: the weights, where one adapter is all of it; otherwise `version.knowledge` names those that were
                put here before.
            on: the version, or `BASE`, that has to be active still; None where that does not matter.

        Raises:
            MovedError: another version has become active.
            LimitError: the rules allow no update now; what was trained stays.
            UserError: the store cannot be written, the disk is full, or another process blocks it.
            ValueError: a number in `version` is not finite.
            TypeError: something in `version.settings` has no form in JSON.
        """
        if adapter is not None:
            version = _in_one(version, self.put_adapter(adapter, version.base.name))
        self.ensure_writable(_SPARE_BYTES)
        version = replace(version, adapter_sha256=combined_sha256(version.knowledge.adapters))
        with writing(self.path, _INSTEAD), self.locked():
            if on is not None and on != (self.active or BASE):
                raise MovedError
            self.audit.begin()
            return self.add(version, self.admission.version(version) if letter == "v" else letter)

    def add(self, version: Version, letter: Letter, **details: Any) -> Version:
        """The last step of `commit`, without looking whether it may be. Call it under the lock.

        Args:
            details: for the audit log.
        """
        self._clear_staging()
        id = self._unfinished(version) if letter == "v" else None
        if id is None:
            folder = self._staging / secrets.token_hex(8)
            folder.mkdir()
            write_mark(self.path)
            try:
                id = self._versions.publish(version, folder, letter)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        self._log_added(replace(version, id=id), details)
        if letter == "v":
            self.lineage.activate(id, version.action)
        return self._versions.read(id)

    def _unfinished(self, version: Version) -> str | None:
        """The id that this very version was given by a process that was killed before it took effect."""
        newest = self.ids()[-1:]
        heads = [self._versions.read(id, whole=False) for id in newest]
        return next((h.id for h in heads if _same(h, version) and not self.is_logged(h.id)), None)

    def remove(self, id: str) -> None:
        """Remove what waited, when it is clear what becomes of it. Call it under the lock. Raises OSError."""
        self._versions.remove(id, self._staging)

    def _log_added(self, version: Version, details: Mapping[str, Any]) -> None:
        actions: dict[Letter, Action] = {"r": "rejected", "p": "held", "v": "committed"}
        action = "forgot" if version.action == "forget" else actions[letter_of(version.id)]
        edits = [rollout.edit.text for rollout in version.rollouts if rollout.kept]
        hashes = {
            "document": [document.sha256 for document in version.documents],
            "edit": [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() for text in edits],
            "adapter": [version.adapter_sha256],
            "version": [self._versions.sha256(version.id)],
        }
        why = {"why": version.rejected} if version.rejected else {}
        flags = {"flags": [flag.kind for flag in version.flags]} if version.flags else {}
        said = {"parent": version.parent or BASE, "by": version.action, **why, **flags, **details}
        self.audit.record(action, version.id, hashes=hashes, **said)

    def _log_committed(self, version: Version) -> None:
        """Count a version whose process was killed between its folder and its line in the log."""
        if version.action != "forget":
            self.admission.update()
        self._log_added(version, {"recovered": True})

    def _contents(self) -> dict[str, Any]:
        """What a new audit log says of the store as it is."""
        ids = [id for letter in LETTERS for id in self.ids(letter)]
        return {"versions": {id: self._versions.sha256(id) for id in ids}, "active": self.active or BASE}

    def _clear_staging(self) -> None:
        """Whoever holds the lock is alone, so that all that is found there belongs to dead processes."""
        for stale in filter(Path.is_dir, self._staging.iterdir()):
            shutil.rmtree(stale, ignore_errors=True)

    def prune(self) -> None:
        """Remove old adapters that nothing refers to, as killed runs leave them."""
        old = self.adapters.old()
        if not old - (self.get(self.active).knowledge.weights if self.active else frozenset()):
            return  # Without reading every version.
        with writing(self.path, _INSTEAD), self.locked():
            used = {
                sha256
                for letter in LETTERS
                for version in self.versions(letter)
                for sha256 in version.knowledge.weights
            }
            self.adapters.remove(old - used)

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

    def _known(self, id: str | None) -> str:
        """`id`, or the active one. Nothing but a listed name ever becomes part of a path."""
        ids, aside = self.ids(), [*self.ids("r"), *self.ids("p")]
        if not ids and (id is None or not aside):
            raise UserError(
                f"The store {self.path} has no version yet. Make one with 'selfedit learn FILE --store {self.path}'."
            )
        if id is None:
            active = self.active
            if active is None:
                raise UserError(
                    f"No version is active in {self.path}: the base answers. 'selfedit use ID' makes one active."
                )
            return active
        every = [*ids, *aside]
        if id not in every:
            raise UserError(f"There is no version {id!r} in {self.path}. {nearest(id, every)}")
        return id


def combined_sha256(adapters: Sequence[str]) -> str:
    """The hash of a version's weights: of its adapter or, of several, of their hashes in their order."""
    return adapters[0] if len(adapters) == 1 else hashlib.sha256("".join(adapters).encode()).hexdigest()


def _same(one: Version, other: Version) -> bool:
    """Whether two versions are one made twice, by their heads."""
    left, right = (replace(each, id="", seconds=0.0, rollouts=(), knowledge=Knowledge()) for each in (one, other))
    return left == right


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
