"""Splits a document into passages that fit a model's window, along its headings and paragraphs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, pairwise, takewhile

from selfedit.documents.assign import PassageIndex
from selfedit.documents.base import Document, Passage, Question

# What it costs to end a passage there. A passage costs 1, and up to 1 more the less full it is; so where there is a
# choice, headings win even if that makes a passage more, and equally full passages win over a tiny last one.
_AT_HEADING, _AT_PARAGRAPH, _AT_SENTENCE, _IN_SENTENCE = 0.0, 2.0, 3.0, 4.0
_TINY, _TINY_COST = 0.25, 2.5  # a passage less full than this is worth taking a neighbouring section apart for

_BLANK_LINES = re.compile(r"(?<![ \t])[ \t]*\n(?:[ \t]*\n)+")
# A sentence ends before whitespace or, with the full-width marks of Chinese and Japanese, right after the mark; closing
# quotes and brackets still belong to it. A lower-case letter after the gap means that the dot was an abbreviation's.
_WIDE_END, _WIDE_CLOSE = r"[\u3002\uff01\uff1f]", r"\u201d\u2019\u300d\u300f\uff09"
_SENTENCE_GAP = re.compile(
    rf"(?:(?<=[.!?\u2026])|(?<=[.!?\u2026][\"'\u201d\u2019\u00bb)\]])|(?<={_WIDE_END}))\s+(?![a-z\s])"
    rf"|(?<={_WIDE_END})(?![{_WIDE_CLOSE}\s])|(?<={_WIDE_END}[{_WIDE_CLOSE}])(?!\s)"
)
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
            pieces += [_Piece(number, *span) for span in spans]
            cost = _AT_PARAGRAPH
    joint = count_tokens("\n\n")
    headings = [count_tokens(section.heading) + joint if section.heading else 0 for section in document.sections]
    groups = _pack(_coarser(pieces, joint, max_tokens // 64), joint, headings, max_tokens)
    passages = [passage for group in groups for passage in _checked(document, group, count_tokens, max_tokens)]
    return Split(tuple(_with_probes(document, passages)), cut_paragraphs)


def _between(gap: re.Pattern[str], text: str, span: Span) -> Iterator[Span]:
    """Yield the spans between gaps, blank ones left out."""
    start, end = span
    for match in gap.finditer(text, start, end):
        if text[start : match.start()].strip():
            yield start, match.start()
        start = match.end()
    if text[start:end].strip():
        yield start, end


def _fitting(
    text: str, span: Span, cost: float, count_tokens: CountTokens, max_tokens: int
) -> Iterator[tuple[Span, int, float]]:
    """Yield a paragraph, or its sentences or parts of them where it is too long, as the fields of a piece."""
    tokens = count_tokens(text[slice(*span)])
    if tokens <= max_tokens:
        yield span, tokens, cost
        return
    for sentence in _between(_SENTENCE_GAP, text, span):
        for part, tokens in _halved(text, sentence, count_tokens, max_tokens):
            yield part, tokens, cost
            cost = _IN_SENTENCE
        cost = _AT_SENTENCE


def _halved(text: str, span: Span, count_tokens: CountTokens, max_tokens: int) -> Iterator[tuple[Span, int]]:
    """Yield parts that fit, with their tokens. Halving needs far fewer counts than adding word to word."""
    start, end = span
    tokens = count_tokens(text[start:end])
    if tokens <= max_tokens or end - start == 1:
        yield span, tokens
        return
    middle = (start + end) // 2
    gaps = [
        match.span() for match in _WHITESPACE.finditer(text, start, end) if start < match.start() < match.end() < end
    ]
    # Lists, tables and code have lines rather than sentences.
    lines = [gap for gap in gaps if "\n" in text[slice(*gap)] and abs(gap[0] - middle) <= (end - start) // 4]
    left, right = min(lines or gaps, key=lambda gap: abs(gap[0] - middle), default=(middle, middle))
    yield from _halved(text, (start, left), count_tokens, max_tokens)
    yield from _halved(text, (right, end), count_tokens, max_tokens)


def _coarser(pieces: list[_Piece], joint: int, grain: int) -> list[_Piece]:
    """Join neighbours of a section up to `grain` tokens: packing takes time with the number of pieces a passage."""
    joined: list[_Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else piece
        tokens = last.tokens + joint + piece.tokens
        if last is not piece and last.section == piece.section and tokens <= grain:
            joined[-1] = _Piece(piece.section, (last.span[0], piece.span[1]), tokens, last.cost)
        else:
            joined.append(piece)
    return joined


def _pack(pieces: list[_Piece], joint: int, headings: list[int], max_tokens: int) -> Iterator[list[_Piece]]:
    """Group the pieces into passages at the least total cost, by dynamic programming over where passages end.

    `joint` is the tokens between pieces, `headings` those of each section's heading.
    """
    costs = [0.0]  # of the best grouping of the first n pieces
    begins = [0]  # where its last passage begins
    for end in range(1, len(pieces) + 1):
        choices = []
        in_text = in_headings = 0
        for begin in range(end - 1, -1, -1):
            piece = pieces[begin]
            in_text += piece.tokens + joint
            if begin == end - 1 or piece.section != pieces[begin + 1].section:
                in_headings += headings[piece.section]
            tokens = in_text - joint + (in_headings if piece.section != pieces[end - 1].section else 0)
            if tokens > max_tokens and begin < end - 1:
                break
            fill = min(1.0, tokens / max_tokens)
            cost = 1 + (1 - fill) ** 2 + (_TINY_COST if fill < _TINY else 0)
            choices.append((costs[begin] + piece.cost + cost, begin))
        cost, begin = min(choices)
        costs.append(cost)
        begins.append(begin)
    ends = [len(pieces)]
    while ends[-1] > 0:
        ends.append(begins[ends[-1]])
    ends.reverse()
    for begin, end in pairwise(ends):
        yield pieces[begin:end]


def _checked(document: Document, group: list[_Piece], count_tokens: CountTokens, max_tokens: int) -> Iterator[Passage]:
    """Yield a group as one passage, or as more where its parts, put together, have more tokens than by themselves."""
    passage = _passage(document, group)
    if len(group) == 1 or count_tokens(passage.text) <= max_tokens:
        yield passage
    else:
        middle = len(group) // 2
        yield from _checked(document, group[:middle], count_tokens, max_tokens)
        yield from _checked(document, group[middle:], count_tokens, max_tokens)


def _passage(document: Document, group: list[_Piece]) -> Passage:
    runs = [(document.sections[n], list(run)) for n, run in groupby(group, key=lambda piece: piece.section)]
    paths = [section.heading.split(" > ") if section.heading else [] for section, _ in runs]
    common = [names[0] for names in takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))]
    parts: list[str] = []
    last = common
    for path, (section, run) in zip(paths, runs, strict=True):
        if path != last and path != common:
            parts.append(" > ".join(path[len(common) :]))
        last = path
        parts.append(section.text[run[0].span[0] : run[-1].span[1]])
    title = " - ".join([document.title, *([" > ".join(common)] if common else [])])
    return Passage(title, "\n\n".join(parts), document.path)


def _with_probes(document: Document, passages: list[Passage]) -> Iterator[Passage]:
    """Yield the passages with the document's probes, each with the passage that holds its answer."""
    if len(passages) == 1:
        yield replace(passages[0], probes=document.probes)
        return
    index = PassageIndex(passages)
    probes: list[list[Question]] = [[] for _ in passages]
    for probe in document.probes:
        probes[index.best(probe, range(len(passages)))].append(probe)
    for passage, its in zip(passages, probes, strict=True):
        yield replace(passage, probes=tuple(its))
