"""What a reader sees in a text, whatever characters it is written with."""

from __future__ import annotations

import re
import unicodedata

ZERO_WIDTH = "\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\ufeff\u180e\u00ad\u034f"
"""Characters without a width; the soft hyphen and the joiners have uses in plain text."""

# Letters of other scripts that look like Latin ones, after Unicode's confusables (UTS 39).
_CYRILLIC = dict(zip("аеорсхуіјѕһԁӏАЕОРСХУІЈЅМТВНКЗ", "aeopcxyijshdlAEOPCXYIJSMTBHK3", strict=True))
_GREEK = dict(zip("οαινκρτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "oaivkptuxABEZHIKMNOPTYX", strict=True))
CONFUSABLE = {**_CYRILLIC, **_GREEK}
"""What each of them looks like."""

_IGNORED = re.compile(f"[{ZERO_WIDTH}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufe00-\ufe0f\U000e0000-\U000e0fff]")
_MIXED = re.compile(r"\w*[A-Za-z]\w*")
_SPACED = re.compile(r"(?<![^\W_])(?:[^\W\d_][ .\-_*]){4,}[^\W\d_](?![^\W_])")


def folded(text: str) -> str:
    """The text in plain characters: no invisible ones, no look-alikes in Latin words, no s p a c e d letters.

    Lines stay lines, and a letter more or less is not to be relied on: places in it are not those of the text.
    """
    text = unicodedata.normalize("NFKC", _IGNORED.sub("", text))
    text = _MIXED.sub(lambda match: "".join(CONFUSABLE.get(c, c) for c in match[0]), text)
    return _SPACED.sub(lambda match: re.sub(r"[ .\-_*]", "", match[0]), text)


def tag_text(text: str) -> str:
    """What is written in tag characters (U+E0020 to U+E007E), which nobody sees and models read."""
    return "".join(chr(ord(c) - 0xE0000) for c in text if 0xE0020 <= ord(c) <= 0xE007E)
