"""Whether a text contains an answer, whatever its case, punctuation and articles."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Scripts without spaces between words: there every character counts as a word.
_UNSPACED = re.compile("([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])")
_INITIALS = re.compile(r"\b(?:[^\W\d_]\.)+[^\W\d_]\b\.?")
_NUMBER_COMMA = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_PUNCTUATION = re.compile(r"(?<!\d)\.|\.(?!\d)|[^\w.]|_")
# An article stands before a word; the last word of 'vitamin A' is none.
_ARTICLE = re.compile(r"\b(?:a|an|the) (?=\S)")


def answer_in_passage(answer: str, text: str) -> bool:
    """Whether `text` contains `answer` as whole words.

    Case, punctuation, whitespace, articles and the commas in numbers do not count. An answer of symbols only is
    sought as it is; an empty one is in no text.
    """
    return holds(forms(text), text, answer)


def normalise(text: str) -> str:
    """Words in one case, without punctuation or the commas in numbers, single-spaced."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = _INITIALS.sub(lambda match: match[0].replace(".", ""), text)
    text = _PUNCTUATION.sub(" ", _NUMBER_COMMA.sub("", text))
    return " ".join(_UNSPACED.sub(r" \1 ", text).split())


def forms(text: str) -> tuple[str, str]:
    """Return normalised text with and without articles, each between spaces.

    Both are needed: 'The Hague' is in 'Hague', but 'vitamin A' is only in 'vitamin A helps' while the A is there.
    """
    normal = normalise(text)
    return f" {normal} ", f" {_ARTICLE.sub('', normal)} "


answer_forms = lru_cache(maxsize=4096)(forms)  # an answer is sought in many passages


def holds(forms: tuple[str, str], text: str, answer: str) -> bool:
    """`answer_in_passage`, for a text whose `forms` are at hand."""
    needles = answer_forms(answer)
    if not needles[0].strip():
        return bool(answer.strip()) and answer.strip() in text
    return any(needle in hay for needle, hay in zip(needles, forms, strict=True))
