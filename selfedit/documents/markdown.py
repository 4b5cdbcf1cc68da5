"""Markdown: headings give the sections; all else is kept as written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import yaml

from selfedit.documents.base import Document, DocumentReader
from selfedit.documents.outline import Outline
from selfedit.text.reading import decode, read_bytes

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_ATX = re.compile(r" {0,3}(#{1,6})([ \t].*)?")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*")
# A fence may stand in a list item, where it is indented or follows the item's marker.
_FENCE = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(`{3,}(?=[^`]*$)|~{3,})")
# Lines that an underline does not make a heading of: code, quotes, list items, tables.
_NO_TEXT = re.compile(r"\s*$| {4}|\t| {0,3}(?:>|\||[-*+][ \t]|\d{1,9}[.)][ \t])")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^)]*\)")


class MarkdownReader(DocumentReader):
    """One document. The title is the first level-1 heading, else the front matter's, else from the file's name."""

    suffixes: ClassVar[tuple[str, ...]] = (".md", ".markdown")

    def read(self, path: Path) -> list[Document]:
        """See DocumentReader."""
        data = read_bytes(path)
        title, text = _without_front_matter(decode(data, path))
        return [_outline(text).document(path, data, title)]


def _without_front_matter(text: str) -> tuple[str, str]:
    """Return the front matter's title, or '', and the text after it."""
    match = _FRONT_MATTER.match(text)
    if match is None:
        return "", text
    try:
        fields = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        # People write `title: A: B`, which is no YAML but front matter all the same.
        fields = {} if re.match(r"[\w-]+:", match[1]) else None
    if not isinstance(fields, dict):
        return "", text  # text between two rules
    title = fields.get("title")
    return " ".join(str(title).split()) if title is not None else "", text[match.end() :]


def _outline(text: str) -> Outline:
    outline = Outline()
    block: list[str] = []  # the lines since the last heading
    fence = ""

    def flush() -> None:
        outline.paragraph("\n".join(block))
        block.clear()

    for line in text.split("\n"):
        if fence:
            closing = line.strip()
            if len(closing) >= len(fence) and set(closing) == {fence[0]}:
                fence = ""
            block.append(line)
        elif opening := _FENCE.match(line):
            fence = opening[1]
            block.append(line)
        elif atx := _ATX.fullmatch(line):
            flush()
            outline.heading(len(atx[1]), _plain(_without_closing(atx[2] or "")))
        elif (underline := _SETEXT.fullmatch(line)) and _is_single_line(block):
            heading = block.pop()
            flush()
            outline.heading(1 if underline[1][0] == "=" else 2, _plain(heading))
        else:
            block.append(line)
    flush()
    return outline


def _is_single_line(block: list[str]) -> bool:
    """Whether the block ends with a paragraph of one line: under a longer one, an underline is meant as a rule."""
    return bool(block) and not _NO_TEXT.match(block[-1]) and not "".join(block[-2:-1]).strip()


def _without_closing(heading: str) -> str:
    """Return an ATX heading's text without the #s that may close it."""
    text = heading.strip()
    kept = text.rstrip("#")
    return kept if not kept or kept[-1] in " \t" else text


def _plain(heading: str) -> str:
    """Return a heading without links and markers, as it is shown."""
    return " ".join(_LINK.sub(r"\1", heading).replace("**", "").replace("`", "").split())
