"""A text cut into words, stems, numbers and names, and the part of a prediction that answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from selfedit.graders.words import STOP_WORDS, content, numbers, stem, with_digits, words

# Where a model that runs on begins with something else; a list under a colon or after an empty line is no such place.
_JUNK = re.compile(
    r"(?<!:)\n\s*(?:\n(?!\s*(?:\d|[-*]))|Q\s*:|Question\s*:|Passage\s*:|Topic\s*:|You are\b|Human\b|User\b)"
)
_LABEL = re.compile(r"^\s*(?:\**\s*(?:final )?answer\s*\**\s*:|A\s*:)\s*", re.IGNORECASE)
_CAPITAL = re.compile(r"[A-Z][\w'\u2019-]*|[A-Z]+")


@dataclass(frozen=True)
class Text:
    """One of the three texts, cut into what features are made of."""

    raw: str

    @cached_property
    def words(self) -> list[str]:
        return with_digits(words(self.raw))

    @cached_property
    def content(self) -> list[str]:
        return content(self.words)

    @cached_property
    def stems(self) -> frozenset[str]:
        return frozenset(self.content)

    @cached_property
    def numbers(self) -> list[float]:
        return numbers(self.words)

    @cached_property
    def flat(self) -> str:
        return " ".join(self.words)

    @cached_property
    def names(self) -> frozenset[str]:
        """Stems of the capitalised words that are no stop words."""
        capitals = (word for match in _CAPITAL.findall(self.raw) for word in words(match))
        return frozenset(stem(word) for word in capitals if word not in STOP_WORDS)


@lru_cache(maxsize=4096)
def text_of(raw: str) -> Text:
    """A text whose parts are kept for the next prediction on the same question."""
    return Text(raw)


def main_part(question: str, prediction: str) -> str:
    """A prediction without a label before it, a repeated question, or what a model that runs on puts after it."""
    text = prediction.strip().replace("**", "")
    bare = question.strip()
    if text.casefold().startswith(bare.casefold()):
        text = text[len(bare) :].strip()
    text = _LABEL.sub("", text)
    head = _JUNK.split(text, maxsplit=1)[0].strip()
    return head or text
