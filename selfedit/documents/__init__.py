"""Turns files and folders into documents, documents into passages, and gives each passage its questions."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from selfedit.documents.base import Document, DocumentReader, Passage, Question, Section
from selfedit.documents.html import HtmlReader
from selfedit.documents.markdown import MarkdownReader
from selfedit.documents.pdf import PdfReader
from selfedit.documents.plain import PlainReader
from selfedit.documents.questions import assign, check_titles, read_questions
from selfedit.documents.split import Split, split
from selfedit.documents.squad import SquadReader
from selfedit.errors import NotADocumentError, UserError
from selfedit.text.reading import nearest_file, shown

__all__ = [
    "READERS",
    "SUFFIXES",
    "Document",
    "DocumentReader",
    "NotADocumentError",
    "Passage",
    "Question",
    "Section",
    "Split",
    "assign",
    "check_titles",
    "read_documents",
    "read_questions",
    "split",
]

READERS: tuple[type[DocumentReader], ...] = (PlainReader, MarkdownReader, HtmlReader, PdfReader, SquadReader)

_BY_SUFFIX = {suffix: reader for reader in READERS for suffix in reader.suffixes}

SUFFIXES = frozenset(_BY_SUFFIX)
"""Of files that hold documents, in lower case, with the dot."""


def read_documents(paths: Sequence[Path]) -> list[Document]:
    """Return the documents of files and folders, in the order given and by name within a folder, each file once.

    In folders, which are read recursively, hidden files, unknown suffixes and files without text are passed over.
    Raises UserError for a path that is missing, unreadable, of an unknown suffix or without text, and for a folder
    with nothing to read.
    """
    documents: list[Document] = []
    seen: set[Path] = set()
    for path in paths:
        if _is_folder(path):
            _add_folder(path, documents, seen)
            continue
        reader = _reader(path)
        if path.resolve() not in seen:
            seen.add(path.resolve())
            documents += reader().read(path)
    return documents


def _add_folder(folder: Path, documents: list[Document], seen: set[Path]) -> None:
    readable = 0
    for path in _files(folder):
        reader = _BY_SUFFIX.get(path.suffix.lower())
        if reader is None:
            continue
        if path.resolve() not in seen:
            try:
                documents += reader().read(path)
            except NotADocumentError:
                continue
            seen.add(path.resolve())
        readable += 1
    if not readable:
        raise UserError(f"The folder {shown(folder)} holds nothing to read: put {_known()} files with text there.")


def _files(folder: Path) -> list[Path]:
    """Return the regular files below `folder`, sorted. Hidden files and folders, and links to folders, are left."""

    def refuse(error: OSError) -> NoReturn:
        raise UserError(f"Cannot read the folder {shown(error.filename)}: {error.strerror}. Check its permissions.")

    paths = []
    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [Path(root, name) for name in names if not name.startswith(".")]
    try:
        return sorted(path for path in paths if path.is_file())
    except OSError as error:  # a folder that lists its files but lets nobody open them
        refuse(error)


def _is_folder(path: Path) -> bool:
    """Raises UserError for a path that is neither a regular file nor a folder."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"There is no file or folder {shown(path)}. {nearest_file(path)}") from error
    except OSError as error:
        raise UserError(f"Cannot read {shown(path)}: {error.strerror}. Check the path and its permissions.") from error
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise UserError(f"{shown(path)} is neither a file nor a folder: give a file or a folder.")
    return stat.S_ISDIR(mode)


def _reader(path: Path) -> type[DocumentReader]:
    reader = _BY_SUFFIX.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"Cannot tell the format of {shown(path)}: rename or convert it to one of {_known()}.")
    return reader


def _known() -> str:
    return ", ".join(sorted(_BY_SUFFIX))
