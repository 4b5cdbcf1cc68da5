"""The file by which a folder is known to be a store, and in which form."""

from __future__ import annotations

import json
from pathlib import Path

from selfedit.errors import UserError
from selfedit.files.disk import PARTIAL, reading, write_whole
from selfedit.files.serialize import encode

FORMAT = 3
"""The newest layout of a store that this release reads, and the one that it writes."""

_KIND = "selfedit store"
_MARK = "store.json"


def write_mark(path: Path) -> None:
    """Say that there is something in this release's form, which an earlier one cannot read. Raises OSError."""
    write_whole(path / _MARK, encode({"format": FORMAT, "kind": _KIND}) + b"\n")


def is_store(path: Path) -> bool:
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


def check_format(path: Path) -> None:
    """Raise UserError unless this release can read the store at `path`."""
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
