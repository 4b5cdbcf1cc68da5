"""What was measured of drift after a version was made, or of the base: kept in the store, and measured once."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from selfedit.files.disk import reading, write_whole
from selfedit.files.serialize import decode, encode

T = TypeVar("T")


class DriftFiles:
    """A file for each thing that was measured. One that is damaged is measured anew.

    Args:
        path: the folder of them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str, type_: type[T]) -> T | None:
        """What was measured of the thing with this hash; None where nothing was. Raises UserError as reading does."""
        file = self._path / f"{key[:32]}.json"
        if not file.is_file():
            return None
        with reading(file):
            data = file.read_bytes()
        try:
            return decode(type_, data)
        except ValueError:
            return None

    def put(self, key: str, value: object) -> None:
        """Keep it. Raises OSError."""
        self._path.mkdir(exist_ok=True)
        write_whole(self._path / f"{key[:32]}.json", encode(value) + b"\n")
