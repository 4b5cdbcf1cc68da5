"""What a sentence claims: its words that carry meaning, and among them the names and numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from selfedit.graders.words import STOP_WORDS, content, numbers, with_digits, words
from selfedit.guard.base import Text
from selfedit.policies.spans import sentences

_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][\w'\u2019-]+")


_DIVIDED = re.compile(
    r"[,;:](?!\d)\s*|\s[\u2013\u2014-]\s|\s(?=(?:who|which|where|while|although|but|and|along with|so that|because)\s)"
)


@dataclass(frozen=True)
class Claim:
    """A sentence.

    Attributes:
        words: stems of what carries meaning, numbers as digits.
        names: those of them that are written with a capital inside a sentence, or stand in the title.
    """

    sentence: str
    words: frozenset[str]
    names: frozenset[str]
    numbers: frozenset[str]


def claim(sentence: str, title: str = "") -> Claim:
    """What a sentence claims; the names of its title are names at its beginning, too."""
    tokens = with_digits(words(sentence))
    stems = frozenset(content(tokens))
    named = {stem for name in _NAME.findall(sentence) for stem in stems_of(name)} | (stems_of(title) & stems)
    found = frozenset(f"{number:.12g}" for number in numbers(tokens)) & stems
    return Claim(sentence, stems, frozenset(named & stems) - found, found)


def claims(text: Text) -> list[Claim]:
    """Those of all sentences of a text."""
    return [claim(sentence, text.title) for sentence in text.sentences]


def clauses(passage: str, title: str) -> list[Claim]:
    """Those of the parts of a passage's sentences, which commas and small words divide."""
    parts = [part for sentence in sentences(passage) for part in _DIVIDED.split(sentence)]
    return [made for part in parts if len((made := claim(part, title)).words) > 1]


@lru_cache(maxsize=1 << 15)
def stems_of(text: str) -> frozenset[str]:
    """The stems of the words that carry meaning."""
    return frozenset(content(with_digits(words(text)))) - STOP_WORDS
