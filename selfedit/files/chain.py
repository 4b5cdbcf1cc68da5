"""Lines of which each says the hash of the one before, so that none can be changed by itself."""

from __future__ import annotations

import hashlib

FIRST = "0" * 64
"""In place of the hash of the line before the first one."""


def line_hash(line: bytes) -> str:
    """What the next line says of this one, given without its newline."""
    return hashlib.sha256(line).hexdigest()


def last_hash(data: bytes) -> str:
    """What the next line says, after lines that each end in a newline."""
    return line_hash(data[data.rfind(b"\n", 0, -1) + 1 : -1]) if data else FIRST
