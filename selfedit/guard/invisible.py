"""Characters that a reader does not see, or takes for others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from selfedit.graders.words import listed
from selfedit.guard.base import TextGuard
from selfedit.guard.folding import CONFUSABLE, tag_text

_FLAG_EMOJI = re.compile("\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f")
_TAGS = re.compile("[\U000e0000-\U000e007f]+")
_SELECTORS = re.compile("[\U000e0100-\U000e01ef]+|[\ufe00-\ufe0f]{2,}")
_ZERO = re.compile("[\u200b\u2060-\u2064\u180e\u034f\ufeff]")
_JOINERS = re.compile("(.)([\u200c\u200d]+)(.)", re.DOTALL)
_OVERRIDE = re.compile("[\u202d\u202e]")
_DIRECTION = re.compile("[\u202a\u202b\u2066-\u2069\u200e\u200f\u061c]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
_WORD = re.compile(r"[^\W\d_]{3,}")
_STYLED = re.compile("[\U0001d400-\U0001d7ff\uff21-\uff3a\uff41-\uff5a\u24b6-\u24e9\U0001f130-\U0001f189 ]{6,}")
_JOINING_SCRIPTS = tuple(
    listed("""
    ARABIC SYRIAC MONGOLIAN NKO DEVANAGARI BENGALI TAMIL TELUGU KANNADA MALAYALAM GUJARATI GURMUKHI ORIYA
    SINHALA KHMER MYANMAR TIBETAN
    """)
)
_FEW = 2
"""Zero-width spaces that editors and web pages leave behind; more in a document are meant."""


class InvisibleGuard(TextGuard):
    """Stops hidden and disguised text. What scripts and emoji need of such characters passes."""

    name = "invisible"

    def found(self, text: str) -> list[tuple[str, str]]:
        return list(_hidden(text)) + list(_disguised(text))


def _hidden(text: str) -> Iterator[tuple[str, str]]:
    for match in _TAGS.finditer(_FLAG_EMOJI.sub("", text)):
        yield tag_text(match[0]) or match[0], "it holds text in invisible tag characters"
    for match in _SELECTORS.finditer(text):
        yield match[0], "it holds runs of variation selectors, which can carry hidden text"
    zero = [match.start() for match in _ZERO.finditer(text)]
    inside = [at for at in zero if text[at - 1 : at].isalpha() and text[at + 1 : at + 2].isalpha() and at]
    joined = [match for match in _JOINERS.finditer(text) if not _may_join(match)]
    if len(zero) > _FEW or inside or joined:
        at = (inside or zero or [match.start() for match in joined])[0]
        yield text[max(0, at - 20) : at + 20], "it holds zero-width characters"
    for match in _OVERRIDE.finditer(text):
        yield text[max(0, match.start() - 20) : match.start() + 20], "it turns the direction of writing round"
        break
    has_rtl = any(unicodedata.bidirectional(c) in ("R", "AL") for c in text)
    if not has_rtl and (set_ := _DIRECTION.search(text)):
        yield text[max(0, set_.start() - 20) : set_.start() + 20], "it sets a direction that no script in it needs"
    if control := _CONTROL.search(text):
        yield text[max(0, control.start() - 20) : control.start() + 20], "it holds control characters"


def _may_join(match: re.Match[str]) -> bool:
    """Whether a joiner stands where emoji or a script wants one."""
    names = [unicodedata.name(c, "") for c in (match[1], match[3])]
    if names[0].startswith(_JOINING_SCRIPTS):
        return True
    return len(match[2]) == 1 and not match[1].isalnum() and not match[3].isalnum()


def _disguised(text: str) -> Iterator[tuple[str, str]]:
    words = _WORD.findall(text)
    latin = sum(word.isascii() for word in words)
    for word in dict.fromkeys(words):
        others = [c for c in word if c in CONFUSABLE]
        if not others:
            continue
        rest = [c for c in word if c not in CONFUSABLE]
        is_mixed = any(c.isascii() for c in rest) and all(c.isascii() or not _is_foreign(c) for c in rest)
        in_latin = not rest and len(word) > 3 and latin > 0.9 * len(words)
        # Greek letters stand for quantities: one at a word's edge is no disguise.
        inner = [c for c in others if "CYRILLIC" in unicodedata.name(c) or c in word[1:-1]]
        if (is_mixed and inner) or in_latin:
            yield word, "a word is written with letters of another script that look alike"
    for match in _STYLED.finditer(text):
        plain = unicodedata.normalize("NFKC", match[0])
        if plain != match[0] and sum(c.isalpha() for c in plain) >= 6:
            yield plain, "it holds text in letters made for formulas"


def _is_foreign(c: str) -> bool:
    return unicodedata.name(c, "").startswith(("CYRILLIC", "GREEK"))
