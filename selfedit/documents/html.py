"""HTML: the text a reader sees, without navigation. Links are never followed, scripts never run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

from selfedit.documents.base import Document, DocumentReader
from selfedit.documents.outline import Outline
from selfedit.text.reading import decode, read_bytes

_UNSEEN = frozenset({"head", "script", "style", "nav", "noscript", "template", "svg"})
_IN_HEAD = frozenset({"head", "title", "meta", "link", "base", "script", "style", "noscript", "template"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CONTAINERS = frozenset({"ul", "ol", "dl", "table"})
_ITEMS = frozenset({"li", "dt", "dd", "tr", "caption", "thead", "tbody", "tfoot"})
_BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "body", "details", "div", "fieldset", "figcaption", "figure"}
    | {"footer", "form", "header", "hr", "html", "main", "p", "section", "summary"}
)


class HtmlReader(DocumentReader):
    """One document. The title is the first <h1>, else the <title>, else from the file's name."""

    suffixes: ClassVar[tuple[str, ...]] = (".html", ".htm")

    def read(self, path: Path) -> list[Document]:
        """See DocumentReader."""
        data = read_bytes(path)
        parser = _Parser()
        parser.feed(decode(data, path))
        parser.close()
        parser.end()
        return [parser.outline.document(path, data, parser.title)]


class _Parser(HTMLParser):
    """Feeds an outline. End tags that HTML lets authors omit are not relied on."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.outline = Outline()
        self.title = ""
        self._unseen: list[str] = []
        self._in_title = False
        self._heading = 0
        self._pre = 0
        self._containers: list[str] = []
        self._prefix = ""
        self._row_begun = False
        self._text: list[str] = []  # of the line being read
        self._lines: list[str] = []  # of the paragraph, list or table being read

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _IN_HEAD and "head" in self._unseen:
            self._unseen.remove("head")
        if tag in _UNSEEN:
            self._unseen.append(tag)
        elif tag == "title":
            self._in_title = not self.title and "svg" not in self._unseen
        elif not self._unseen:
            self._open(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag in self._unseen:
            while self._unseen.pop() != tag:
                pass
        elif not self._unseen:
            self._close(tag)

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title = " ".join(f"{self.title} {data}".split())
        elif not self._unseen:
            self._text.append(data if self._pre else re.sub(r"\s+", " ", data))

    def end(self) -> None:
        """End whatever is still open."""
        self._flush()

    def _open(self, tag: str) -> None:
        if self._heading and (tag in _HEADINGS or tag in _CONTAINERS or tag == "p"):
            self._flush()  # the heading's end tag is missing
        if tag in _HEADINGS:
            self._flush()
            self._heading = _HEADINGS[tag]
        elif tag in _CONTAINERS:
            self._block()
            self._containers.append(tag)
        elif tag in _ITEMS:
            self._line()
            self._begin_item(tag)
        elif tag in ("td", "th"):
            if self._row_begun:
                self._text.append(" | ")
            self._row_begun = True
        elif tag == "br":
            self._text.append(" " if self._heading or self._in_row() else "\n")
        elif tag == "pre":
            self._block()
            self._pre += 1
        elif tag in _BLOCKS:
            self._block()

    def _close(self, tag: str) -> None:
        if tag in _HEADINGS:
            self._flush()
        elif tag in _CONTAINERS:
            self._line()
            if tag in self._containers:
                while self._containers.pop() != tag:
                    pass
            self._row_begun = self._in_row()  # the cell around an inner table goes on
            self._block()
        elif tag in _ITEMS:
            self._line()
        elif tag == "pre":
            self._block()
            self._pre = max(0, self._pre - 1)
        elif tag in _BLOCKS:
            self._block()

    def _in_row(self) -> bool:
        return bool(self._containers) and self._containers[-1] == "table"

    def _begin_item(self, tag: str) -> None:
        depth = sum(container != "table" for container in self._containers)
        self._prefix = "  " * (depth - 1) + "- " if tag == "li" else ""
        self._row_begun = False

    def _block(self) -> None:
        """End a paragraph or, inside a list, a line; cells and headings go on."""
        if self._heading or self._in_row():
            self._text.append(" ")
        elif self._containers:
            self._line()
        else:
            self._flush()

    def _line(self) -> None:
        """End a line of a paragraph, list or table."""
        text = "".join(self._text)
        self._text = []
        if self._pre and not self._in_row():
            text = text.strip("\n").rstrip()
        else:
            text = re.sub(r" *\n *", "\n", re.sub(r"[^\S\n]+", " ", text)).strip()
        if text.strip("| \n"):
            self._lines.append(self._prefix + text)
            self._prefix = ""

    def _flush(self) -> None:
        """End a heading, paragraph, list or table."""
        self._line()
        if self._heading:
            self.outline.heading(self._heading, " ".join(" ".join(self._lines).split()))
            self._heading = 0
        else:
            self.outline.paragraph("\n".join(self._lines))
        self._lines = []
        self._prefix = ""
