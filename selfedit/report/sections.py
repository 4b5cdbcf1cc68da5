"""What a report consists of, whatever it is rendered to: a page of sections of blocks.

A renderer is one file with one function from a `Page` to a text. Strings here are plain text; renderers escape.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from selfedit.report.table import Table

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Paragraph:
    """Plain text."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """Short plain texts, one a line."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A chart from `svg`, which is put into pages as it is, so let it come from nowhere else.

    `name` is what its file is called where charts lie in files of their own. ValueError if it is not made of
    lower-case letters, digits and hyphens.
    """

    name: str
    svg: str
    caption: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"the name of a figure is made of a-z, 0-9 and -, not {self.name!r}")


@dataclass(frozen=True)
class Reply:
    """A question with the right answer, what the model answered, and whether that was graded as right."""

    question: str
    expected: str
    answered: str
    correct: bool


@dataclass(frozen=True)
class EditCard:
    """A self-edit to look at: its text, what it scored, and the replies after training on it."""

    heading: str
    text: str
    replies: tuple[Reply, ...] = ()
    note: str = ""

    @property
    def score(self) -> str:
        """How many replies were right, in words."""
        return f"{sum(reply.correct for reply in self.replies)} of {len(self.replies)} right" if self.replies else ""


@dataclass(frozen=True)
class SideBySide:
    """Two edits to compare, as the best and the worst of one passage."""

    best: EditCard
    worst: EditCard
    title: str = ""


Block = Paragraph | Bullets | Table | Figure | SideBySide


@dataclass(frozen=True)
class Section:
    """A heading with blocks under it."""

    heading: str
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Page:
    """A report. `lead` says in a sentence what came out."""

    title: str
    sections: tuple[Section, ...]
    lead: str = ""

    @property
    def figures(self) -> dict[str, str]:
        """The SVG of each figure by name, for renderers that link them. ValueError if two share a name."""
        figures: dict[str, str] = {}
        for section in self.sections:
            for block in section.blocks:
                if isinstance(block, Figure) and figures.setdefault(block.name, block.svg) != block.svg:
                    raise ValueError(f"two figures are called {block.name!r}")
        return figures
