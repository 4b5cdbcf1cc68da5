"""Texts that are nearly rules, for fuzzing."""

from __future__ import annotations

import random

_PIECES = (
    b"approval: always\n",
    b"approvers: []\n",
    b"- ",
    b"[",
    b"{",
    b"}",
    b"&a ",
    b"*a ",
    b"!!binary x",
    b"? ",
    b"|\n",
    b"\t",
    b"2026-99-99",
    b".nan",
    b"1e999",
    b"-0",
    b"'",
    b'"\\x1b"',
    b"\xff\xfe",
    b"\0",
    b"\xe2\x80\xae",
    b"<<: ",
    b"0o17",
    b"~",
    b"9" * 5000,
    b"margins: {general: ",
    b"folders: ['../..', '; rm -rf']\n",
    b"%YAML 9.9\n---\n",
    b"---\n",
    b"=",
    b"1_0:2:3",
)


def garbled(text: bytes, draw: random.Random) -> bytes:
    """A text with bytes changed, lines moved and pieces put in."""
    data = bytearray(text)
    for _ in range(draw.choice([1, 2, 5, 20])):
        place = draw.randrange(len(data) + 1)
        what = draw.random()
        if what < 0.4:
            data[place:place] = draw.choice(_PIECES)
        elif what < 0.7:
            data[place : place + 1] = bytes([draw.randrange(256)])
        elif what < 0.85:
            del data[place : place + draw.randrange(1, 30)]
        else:
            lines = bytes(data).split(b"\n")
            draw.shuffle(lines)
            data = bytearray(b"\n".join(lines))
    return bytes(data)
