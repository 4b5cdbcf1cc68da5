"""Splits a document into passages that fit a model's window, along its headings and paragraphs."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from selfedit.documents.base import Document, Passage, Section
from selfedit.documents.match import PassageIndex

# What it costs to end a passage there. A passage costs 1, and up to 1 more the less full it is; so where there is a
# choice, headings win even if that makes a passage more, and equally full passages win over a tiny last one.
_AT_HEADING, _AT_PARAGRAPH, _AT_SENTENCE, _IN_SENTENCE = 0.0, 2.0, 3.0, 4.0

_BLANK_LINES = re.compile(r"[ \t]*\n(?:[ \t]*\n)+")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*(?P<gap>\s+)(?![a-z])|(?<=[。！？])[”’」』）]*(?P<none>\s*)")
_WHITESPACE = re.compile(r"\s+")

CountTokens = Callable[[str], int]
Span = tuple[int, int]


@dataclass(frozen=True)
class Split:
    """A document's passages in order, and how many of its paragraphs were too long and had to be cut inside."""

    passages: tuple[Passage, ...]
    cut_paragraphs: int


@dataclass(frozen=True)
class _Piece:
    """What is not taken apart: a span of a section's text. `cost` is that of beginning a passage with it."""

    section: int
    span: Span
    tokens: int
    cost: float


def split(document: Document, count_tokens: CountTokens, max_tokens: int) -> Split:
    """Split a document into passages of at most `max_tokens` (> 0) tokens of text, titles not counted.

    Small neighbouring sections are merged, longer ones split between paragraphs; a paragraph that is too long by
    itself is split between sentences, then words, then characters. All of the text is kept, in order. A passage
    across several headings shows them; a heading it all lies under is in its title, as 'Document - Heading'. Each
    probe goes to the passage that holds its answer. `count_tokens` is called O(number of sentences) times.
    Raises ValueError if `max_tokens` is not positive.
    """
    if max_tokens < 1:
        raise ValueError(f"max_tokens is {max_tokens}, it must be positive")
    pieces: list[_Piece] = []
    cut_paragraphs = 0
    for number, section in enumerate(document.sections):
        cost = _AT_HEADING
        for paragraph in _between(_BLANK_LINES, section.text, (0, len(section.text))):
            spans = list(_fitting(section.text, paragraph, cost, count_tokens, max_tokens))
            cut_paragraphs += len(spans) > 1
            pieces += [_Piece(number, *found) for found in spans]
            cost = _AT_PARAGRAPH
    groups = _pack(document.sections, pieces, count_tokens, max_tokens)
    passages = [
        passage for group in groups for passage in _within(_passage(document, group), group, count_tokens, max_tokens)
    ]
    return Split(tuple(_with_probes(document, passages)), cut_paragraphs)
