"""What a demonstration maps from and to: a grid of colours, or a text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

from selfedit.types import Grid, Value

LARGEST = 30
COLOURS = 10


class Kind(ABC):
    """One kind of value: how it is read, written and bounded.

    Attributes:
        stop: what ends an answer, where the model does not end it itself.
    """

    name: Literal["grid", "text"]
    stop: tuple[str, ...]

    @abstractmethod
    def check(self, raw: Any) -> Value:
        """The value that JSON holds.

        Raises:
            ValueError: it is no value of this kind; says why.
        """

    @abstractmethod
    def write(self, value: Value) -> str:
        """The value as text, in the one form in which answers are compared."""

    @abstractmethod
    def read(self, text: str) -> Value | None:
        """The value that a model wrote, or None if it wrote none."""


class GridKind(Kind):
    """Rows of digits, one a line. Spaces between them are taken as well."""

    name = "grid"
    stop = ("\n\n",)

    def check(self, raw: Any) -> Grid:
        if not isinstance(raw, (list, tuple)) or not raw or not all(isinstance(row, (list, tuple)) for row in raw):
            raise ValueError("a grid is a list of rows, each a list of colours")
        widths = {len(row) for row in raw}
        if len(widths) > 1 or 0 in widths:
            raise ValueError(f"the grid is ragged: its rows have {_listed(sorted(widths))} cells")
        if len(raw) > LARGEST or max(widths) > LARGEST:
            raise ValueError(f"the grid is {len(raw)} x {max(widths)}; {LARGEST} x {LARGEST} is the largest")
        for row in raw:
            for cell in row:
                if type(cell) is not int or not 0 <= cell < COLOURS:
                    raise ValueError(f"the grid holds {cell!r}; colours are 0 to 9")
        return tuple(tuple(row) for row in raw)

    def write(self, value: Value) -> str:
        return "\n".join("".join(map(str, row)) for row in value)

    def read(self, text: str) -> Grid | None:
        rows = [line.replace(" ", "") for line in text.strip().splitlines()]
        if not all(row.isascii() and row.isdigit() for row in rows):
            return None
        try:
            return self.check([[int(cell) for cell in row] for row in rows])
        except ValueError:
            return None


class TextKind(Kind):
    """Any text without an empty line."""

    name = "text"
    stop = ("\n\n",)

    def check(self, raw: Any) -> str:
        if not isinstance(raw, str) or not raw.strip():
            raise ValueError("it is not a text, or empty")
        if any(not line.strip() for line in raw.strip().splitlines()):
            raise ValueError("the text has an empty line, which ends an answer")
        return raw.strip()

    def write(self, value: Value) -> str:
        return str(value)

    def read(self, text: str) -> str | None:
        return text.strip() or None


KINDS: dict[str, Kind] = {kind.name: kind for kind in (GridKind(), TextKind())}


def _listed(numbers: list[int]) -> str:
    return " and ".join(map(str, numbers))
