"""A file as the documents in it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from selfedit.documents import read_documents
from selfedit.errors import UserError
from selfedit.learn.prepare import known_as
from selfedit.stream.base import Aside, Item
from selfedit.text.reading import shown
from selfedit.types import DocumentRef

MOST_BYTES = 1 << 26
"""Of a file."""


def read_item(path: Path, store: Path) -> Item:
    """A file as it is to be learnt, its documents named as the store knows them.

    Raises:
        UserError: it cannot be read, is too large, or holds nothing to learn.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read: {error.strerror}.") from None
    if size > MOST_BYTES:
        raise UserError(f"{shown(path)} has {size} bytes, and {MOST_BYTES} at most are read: split it.")
    try:
        documents = read_documents([path])
    except RecursionError:
        raise UserError(f"{shown(path)} is nested too deeply.") from None
    references = tuple(DocumentRef(known_as(each.path, store), each.title, each.sha256) for each in documents)
    return Item(str(path), references, any(each.probes for each in documents))


def unreadable(path: Path, why: str) -> Aside:
    """A file that could not be read; another one when it changes."""
    digest = hashlib.sha256(os.fsencode(path) + why.encode("utf-8", "replace"))
    try:
        status = path.stat()
        digest.update(f"{status.st_size}/{status.st_mtime_ns}".encode())
    except OSError:
        pass
    return Aside(digest.hexdigest(), shown(path), why)
