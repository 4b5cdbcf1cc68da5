"""Versions that wait until a person lets them take effect, or does not."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import unified_diff

from selfedit.errors import UserError, nearest
from selfedit.store.lineage import BASE
from selfedit.store.store import Store
from selfedit.store.version_files import without_id
from selfedit.types import DocumentRef, Version


@dataclass(frozen=True)
class DocumentDiff:
    """What a document says now and did not say before, as the lines of a unified diff."""

    document: DocumentRef
    is_new: bool
    lines: tuple[str, ...]


def pending(store: Store, id: str) -> Version:
    """The version of that id, which waits. Raises UserError where none of that id does."""
    waiting = store.ids("p")
    if id not in waiting:
        raise UserError(f"Nothing waits as {id!r} in {store.path}. {nearest(id, waiting)}")
    return store.get(id)


def approve(store: Store, id: str, adapter: str = "") -> Version:
    """Let a version that waits take effect, and return it under its new id.

    What is approved are these very weights: their hashes, and that of all that was shown, have to be those of the
    time when it was held back.

    Args:
        adapter: the beginning of the hash of the weights that were looked at; empty does not ask.

    Raises:
        LimitError: the rules allow no update now.
        UserError: nothing waits under that id, it was changed, another version became active since, or whoever acts
            may not approve.
    """
    with store.locked():
        version = pending(store, id)
        if (made := _made_of(store, id)) is not None:
            store.remove(id)  # What was killed on its last step.
            return store.get(made)
        store.admission.approver()
        if not version.adapter_sha256.startswith(adapter):
            raise UserError(f"The weights of {id} are {version.adapter_sha256[:16]}…, not {adapter}: look at it again.")
        entries = reversed(store.audit.entries())
        held = next((entry for entry in entries if entry.action == "held" and entry.subject == id), None)
        if held is None or held.hashes.get("version") != (store.sha256(id),):
            raise UserError(f"{id} was changed since it was held back. Reject it, and learn its documents again.")
        store.check_adapter(version)
        _check_parent(store, version)
        store.admission.update()
        hashes = {"version": [store.sha256(id)], "adapter": [version.adapter_sha256]}
        store.audit.record("approved", id, hashes=hashes)
        added = store.add(replace(without_id(version), approved_by=store.audit.actor), "v", was=id)
        store.remove(id)
        return added


def reject(store: Store, id: str, why: str) -> Version:
    """Set a version that waits aside, and return it under its new id.

    Raises:
        UserError: nothing waits under that id, no reason is given, or whoever acts may not reject.
    """
    if not why.strip():
        raise UserError("Say why it is rejected, with --why.")
    with store.locked():
        version = pending(store, id)
        store.admission.approver()
        reason = f"rejected by {store.audit.actor}: {' '.join(why.split())}"
        added = store.add(replace(without_id(version), rejected=reason), "r", was=id)
        store.remove(id)
        return added


def document_diffs(store: Store, version: Version) -> list[DocumentDiff]:
    """What is new in a version, document by document, against what its parent knows of the same ones."""
    known = store.get(version.parent).knowledge.learnt if version.parent is not None else ()
    diffs = []
    for document in version.documents:
        # One is the same by its path and, where a file holds many, its title.
        old = [
            item.task.passage
            for item in known
            if (item.document.path, item.document.title) == (document.path, document.title)
        ]
        new = [task.passage for task in version.tasks if task.id.partition(".")[0] == document.sha256[:12]]
        lines = list(unified_diff(_lines(old), _lines(new), lineterm="", n=1))[2:]
        diffs.append(DocumentDiff(document, not old, tuple(lines)))
    return diffs


def _lines(passages: Sequence[str]) -> list[str]:
    return [line for passage in passages for line in passage.splitlines()]


def _made_of(store: Store, id: str) -> str | None:
    """The id under which a version took effect that still seems to wait."""
    entries = reversed(store.audit.entries())
    return next((e.subject for e in entries if e.action == "committed" and e.details.get("was") == id), None)


def _check_parent(store: Store, version: Version) -> None:
    """Raise UserError unless the version that this one builds on still is the active one."""
    parent, active = version.parent or BASE, store.active or BASE
    if parent == active:
        return
    paths = " ".join(shlex.quote(document.path) for document in version.documents)
    again = "feedback --learn --again" if version.action == "feedback" else f"learn {paths} --again"
    raise UserError(
        f"{version.id} was made on top of {parent}, and {active} is the active one now: it would take back what that "
        f"learnt since. Learn the same again on top of {active} with 'selfedit {again}', or go back "
        f"with 'selfedit use {parent}' and approve it then."
    )
