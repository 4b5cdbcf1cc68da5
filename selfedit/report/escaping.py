"""Text from models and documents, made harmless for what it is written into."""

from __future__ import annotations

import html
import re

# What XML 1.0 forbids even when escaped, among it the lone surrogates that no UTF-8 file can hold.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INLINE = re.compile(r"([\\`*_\[\]<>|#~&$])")
_BLOCK_START = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[-+](?:\s|$)|-+$))")


def clean(text: str) -> str:
    """Text with every character that no XML file may hold shown as the replacement character."""
    return _FORBIDDEN.sub("\ufffd", text)


def markup(text: str) -> str:
    """Text as it goes between tags or into a quoted attribute, of HTML and SVG alike."""
    return html.escape(clean(text), quote=True)


def markdown_cell(text: str) -> str:
    """Text as one line within a line of Markdown, as in a table's cell: nothing in it is read as markup."""
    return _INLINE.sub(r"\\\1", " ".join(clean(text).split()))


def markdown_line(text: str) -> str:
    """Text as a line of Markdown of its own, which is neither a list nor a rule either."""
    return _BLOCK_START.sub(r"\1\\", markdown_cell(text))


def markdown_block(text: str) -> str:
    """Text as a fenced block, verbatim; the fence is longer than any row of backticks in it."""
    text = clean(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.rstrip()}\n{fence}"
