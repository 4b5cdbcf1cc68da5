"""What a store says of documents: learnt, waiting for approval, or neither. By content, from the store itself."""

from __future__ import annotations

from collections.abc import Sequence

from selfedit.store import Store
from selfedit.types import DocumentRef, Version


class Known:
    """Which documents took effect, as far back as the store goes.

    A document is done when the last that was learnt of its path is what it says now, so that one which was rolled back
    or forgotten is not learnt again by itself; or when the active version knows its text from anywhere.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: dict[tuple[str, str], tuple[str, str]] = {}
        self._read: set[str] = set()
        self._active: tuple[str | None, frozenset[str]] = (None, frozenset())

    def is_learnt(self, document: DocumentRef) -> bool:
        """Whether the last that was learnt of a document's path is this."""
        self._refresh()
        return self._last.get(_place(document), ("", ""))[0] == document.sha256

    def is_active(self, document: DocumentRef) -> bool:
        """Whether the active version knows it, from whichever path."""
        return document.sha256 in self.active()

    def active(self) -> frozenset[str]:
        """The hashes of all that the active version knows."""
        active = self._store.active
        if self._active[0] != active:
            known = self._store.get(active).knowledge.documents if active is not None else ()
            self._active = active, frozenset(document.sha256 for document in known)
        return self._active[1]

    def version_of(self, documents: Sequence[DocumentRef]) -> Version | None:
        """The version that was the last to learn one of these."""
        self._refresh()
        found = [self._last.get(_place(document)) for document in documents]
        ids = [each[1] for each, document in zip(found, documents, strict=True) if each and each[0] == document.sha256]
        return self._store.get(max(ids, key=lambda id: int(id[1:]))) if ids else None

    def rejection(self, documents: Sequence[DocumentRef]) -> str:
        """Why the newest rejected version of these documents was."""
        hashes = {document.sha256 for document in documents}
        for head in reversed(self._store.heads("r")):
            if hashes & {document.sha256 for document in head.documents}:
                return head.rejected or ""
        return "it was not approved"

    def _refresh(self) -> None:
        # One that was published by a process that was killed before it took effect is not done: it is taken up again.
        effective = {each.version for each in self._store.lineage.history()} | set(self._store.audit.began_with() or ())
        for id in self._store.ids():
            if id in self._read or id not in effective:
                continue
            self._read.add(id)
            head = self._store.head(id)
            if head.action == "learn":
                self._last |= {_place(document): (document.sha256, id) for document in head.documents}


def _place(document: DocumentRef) -> tuple[str, str]:
    """By which two documents are one at different times, as memories have it."""
    return document.path, document.title if document.path.endswith(".json") else ""
