"""Lines that are nearly what a stream takes, for fuzzing."""

from __future__ import annotations

import json
import random

from tests.rules.garbled import garbled

_WHOLE = (
    {"title": "The lamp", "text": "It is oiled by Odalys.", "questions": [{"question": "Who?", "answer": "Odalys"}]},
    {"title": "../../x", "context": "\x1b[31m; rm -rf ~\n", "id": "/etc/passwd"},
    {"question": "Who oils it?", "answers": ["Odalys", {"text": "O."}], "title": "The lamp"},
    {"question": "Who oils it?", "wrong": True, "who": "ana"},
    {"question": "Who oils it?", "answer": "Odalys", "said": "Bo"},
)
_PIECES = (
    b"{",
    b"[" * 3000,
    b'"\\ud800"',
    b"null",
    b"NaN",
    b"1e999",
    b'"title": 3, ',
    b'"text": "',
    b"\\u0000",
    b"\xe2\x80\xa8",
)


def garbled_line(draw: random.Random) -> bytes:
    """A line without its end: whole, with bytes and pieces changed, or noise."""
    line = json.dumps(draw.choice(_WHOLE) | {"id": str(draw.random())} if draw.random() < 0.1 else draw.choice(_WHOLE))
    data = line.encode()
    kind = draw.random()
    if kind < 0.1:
        return data
    if kind < 0.2:
        return draw.randbytes(draw.choice([1, 100, 5000])).replace(b"\n", b"")
    if kind < 0.5:
        at = draw.randrange(len(data))
        return data[:at] + draw.choice(_PIECES) + data[at + draw.randrange(3) :]
    return garbled(data, draw).replace(b"\n", b" ")
