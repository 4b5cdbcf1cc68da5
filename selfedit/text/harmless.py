"""Text of documents, models and file names, shown so that it does nothing to a terminal and misleads nobody."""

from __future__ import annotations

import re

# Control characters but tab and newline; what turns the direction of text or hides it; what ends a line elsewhere.
# Joiners and marks that Persian, Hebrew or an emoji are written with stay.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def harmless(text: str) -> str:
    """The text with such characters written out as Python would, newlines and tabs left."""
    return _HARMFUL.sub(lambda found: _named(ord(found[0])), text)


def harmless_json(text: str) -> str:
    """JSON that says the same in harmless characters. Outside of strings it has none others."""
    return _HARMFUL.sub(lambda found: _escaped(found[0]), text)


def one_line(text: str) -> str:
    """The same on one line."""
    return harmless(" ".join(text.splitlines()))


def _named(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
