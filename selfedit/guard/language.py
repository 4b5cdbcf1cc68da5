"""Text in another language than the store's, or than those that the user named."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from selfedit.errors import UserError, nearest
from selfedit.guard.base import Guard, Known, Text
from selfedit.types import Flag

_LATIN = {
    "da": "DANISH",
    "de": "GERMAN",
    "en": "EN_PLUS",
    "es": "SPANISH",
    "fr": "FRENCH",
    "it": "ITALIAN",
    "nl": "DUTCH",
    "no": "NORWEGIAN",
    "pt": "PORTUGUESE",
    "sv": "SWEDISH",
    "tr": "TURKISH",
}
# Each script's language, or the one that is most written in it.
_SCRIPTS = {
    "CYRILLIC": "ru",
    "GREEK": "el",
    "ARABIC": "ar",
    "HEBREW": "he",
    "DEVANAGARI": "hi",
    "THAI": "th",
    "HANGUL": "ko",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "CJK": "zh",
}
LANGUAGES = tuple(sorted({*_LATIN, *_SCRIPTS.values()}))
_WORD = re.compile(r"[^\W\d_]+")
_FEWEST = 12
"""Words below which nothing is said of a text's language."""
_LEAST, _LEAD = 0.18, 1.3
"""The share of small words by which a Latin text is known, and by what factor the first language has to lead."""
_COMMON = 0.1
"""The share of what is known, from which on its language is one of the store's."""


def check_languages(codes: Iterable[str]) -> None:
    """Raise UserError for a code that is not known."""
    for code in codes:
        if code not in LANGUAGES:
            raise UserError(f"Unknown language '{code}'. {nearest(code, LANGUAGES)}")


def language_of(text: str) -> str | None:
    """The code of a text's language; None where it cannot be told.

    By scripts, and for Latin ones by small words, in which short texts and near languages (Danish and Norwegian) are
    told apart badly; then neither is said.
    """
    scripts = Counter(unicodedata.name(c, "").split(" ")[0].split("-")[0] for c in text if c.isalpha())
    letters = sum(scripts.values())
    if not letters:
        return None
    script, count = scripts.most_common(1)[0]
    if script in _SCRIPTS and count > 0.5 * letters:
        is_japanese = scripts["HIRAGANA"] + scripts["KATAKANA"] > 0.1 * letters
        enough = count >= (_FEWEST if script in ("CJK", "HIRAGANA", "KATAKANA", "HANGUL") else 4 * _FEWEST)
        return ("ja" if is_japanese else _SCRIPTS[script]) if enough else None
    if scripts["HIRAGANA"] + scripts["KATAKANA"] + scripts["CJK"] > 0.5 * letters:
        return "ja"
    words = [word.casefold() for word in _WORD.findall(text)]
    if len(words) < _FEWEST:
        return None
    shares = sorted(
        ((sum(w in known for w in words) / len(words), name) for name, known in _small_words().items()), reverse=True
    )
    (first, language), (second, _) = shares[:2]
    return language if first >= _LEAST and first >= _LEAD * second else None


@cache
def _small_words() -> dict[str, frozenset[str]]:
    """Each Latin language's, from `bm25s`, which takes its time to import."""
    from bm25s import stopwords

    return {code: frozenset(map(str.casefold, getattr(stopwords, f"STOPWORDS_{n}"))) for code, n in _LATIN.items()}


class LanguageGuard(Guard):
    """Stops documents most of which are in a language that is neither named nor known. With neither it says nothing."""

    name = "language"

    def screen(self, texts: Sequence[Text], known: Known) -> list[Flag]:
        allowed = set(known.languages) or _spoken(item.task.passage for item in known.learnt)
        if not allowed:
            return []
        flags = []
        for text in texts:
            language = language_of(" ".join(text.passages))
            if language is not None and language not in allowed:
                shown = ", ".join(sorted(allowed))
                flags.append(self.flag(text, text.passages[0], f"its language is '{language}', not {shown}"))
        return flags


def _spoken(passages: Iterable[str]) -> set[str]:
    """The languages of what is known. Passages too short to tell say nothing by themselves, all together they may."""
    passages = list(passages)
    counts = Counter(language for passage in passages if (language := language_of(passage)) is not None)
    spoken = {language for language, count in counts.items() if count >= _COMMON * sum(counts.values())}
    whole = language_of(" ".join(passages))
    return spoken or ({whole} if whole is not None else set())
