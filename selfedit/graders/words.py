"""Texts as graders compare them: words, their stems, the numbers in them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from selfedit.text.matching import normalise


def listed(text: str) -> list[str]:
    """The words of a list that is written as one text."""
    return text.split()


STOP_WORDS = frozenset(
    listed("""a an the of in on at to for from by with as and or but nor so than then that this these those it its is
    are was were be been being am do does did done has have had having he she they them their his her him we our us
    you your i who whom whose which what when where why how there here about into over under also will would can could
    may might shall should must not no if while during both each such some any all more most other s t""")
)
NEGATIONS = frozenset(listed("not no never none neither nor without cannot nt nobody nothing"))

_UNITS = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = listed("twenty thirty forty fifty sixty seventy eighty ninety")
_ORDINALS = listed(
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth"
)
_SMALL = {word: value for words in (_UNITS, _ORDINALS) for value, word in enumerate(words)}
_SMALL |= {word: 10 * place for place, word in enumerate(_TENS, 2)}
_SMALL |= {f"{word[:-1]}ieth": 10 * place for place, word in enumerate(_TENS, 2)}
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "dozen": 12.0}
_DIGITS = re.compile(r"(\d+(?:\.\d+)?)(st|nd|rd|th|s)?")
_POSSESSIVE = re.compile(r"(?<=\w)['\u2019]s\b")
_SIGNS = str.maketrans({"%": " percent ", "$": " dollar ", "£": " pound ", "€": " euro ", "&": " and "})
_SILENT = re.compile("[aeiouyhw]")
_DOUBLED = re.compile(r"(.)\1+")
_ALIKE = str.maketrans("dgcqzjbvx", "tkkksspfk")
_SUFFIXES = tuple(
    listed("""izations isations ization isation ations ation itions ition nesses ness ments ment ically ical istic
    ists ist isms ism ities ity ances ance ences ence ings ing edly ied ies ers er ors or ive ic al ally ly ians ian
    ions ion ous ful able ible ed es en e s y""")
)
_IRREGULAR = {
    "men": "man",
    "women": "woman",
    "children": "child",
    "people": "person",
    "feet": "foot",
    "teeth": "tooth",
    "mice": "mouse",
    "wrote": "write",
    "written": "write",
    "built": "build",
    "began": "begin",
    "begun": "begin",
    "held": "hold",
    "made": "make",
    "gave": "give",
    "given": "give",
    "took": "take",
    "taken": "take",
    "grew": "grow",
    "grown": "grow",
    "growth": "grow",
    "shrank": "shrink",
    "fell": "fall",
    "fallen": "fall",
    "rose": "rise",
    "risen": "rise",
    "lost": "lose",
    "loss": "lose",
    "won": "win",
    "died": "die",
    "dead": "die",
    "death": "die",
    "fled": "flee",
    "fought": "fight",
    "taught": "teach",
    "thought": "think",
    "sold": "sell",
    "sent": "send",
    "spoke": "speak",
    "spoken": "speak",
    "worse": "bad",
    "worst": "bad",
    "better": "good",
    "best": "good",
    "strength": "strong",
    "length": "long",
}


def words(text: str) -> list[str]:
    """The words of a text in one case, without accents and possessives; '%' and currency signs are words."""
    plain = unicodedata.normalize("NFKD", _POSSESSIVE.sub("", text))
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return normalise(plain.translate(_SIGNS)).split()


@lru_cache(maxsize=1 << 15)
def stem(word: str) -> str:
    """A word without its endings, so that 'divided' and 'division' come near; numbers stay as they are."""
    word = _IRREGULAR.get(word, word)
    if not word.isalpha() or not word.isascii():
        return word
    for _ in range(3):
        for suffix in _SUFFIXES:
            least = 3 if len(suffix) < 3 else 4
            if word.endswith(suffix) and len(word) - len(suffix) >= least and not word.endswith("ss"):
                word = word[: -len(suffix)]
                break
        else:
            break
    if len(word) > 4 and word[-1] == word[-2]:
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 3 and word[-1] == "y" else word


def with_digits(tokens: list[str]) -> list[str]:
    """The same words with each number, spelled or not, as digits: 'thirty', 'seven' is '37'; '3rd' is '3'."""
    numbered: list[str] = []
    index = 0
    while index < len(tokens):
        value, used = _number_at(tokens, index)
        numbered.append(tokens[index] if value is None else f"{value:.12g}")
        index += max(1, used)
    return numbered


def numbers(tokens: list[str]) -> list[float]:
    """The numbers among words from `with_digits`, in their order."""
    return [float(token) for token in tokens if token[0].isdigit() and _DIGITS.fullmatch(token)]


def content(tokens: list[str]) -> list[str]:
    """The stems of the words that carry meaning, in their order."""
    return [stem(token) for token in tokens if token not in STOP_WORDS]


@lru_cache(maxsize=1 << 15)
def sound(word: str) -> str:
    """A rough key of how a word sounds, the same for most ways to spell a foreign name: 'Khuruldai', 'Kurultai'."""
    kept = word[:1] + _SILENT.sub("", word[1:])
    return _DOUBLED.sub(r"\1", kept.translate(_ALIKE))


def _number_at(tokens: list[str], index: int) -> tuple[float | None, int]:
    """The number that begins at a word, and how many words it takes; None and 0 where there is none."""
    word = tokens[index]
    digits = _DIGITS.fullmatch(word)
    if digits:
        value, used = float(digits[1]), 1
    elif word in _SMALL:
        value, used = float(_SMALL[word]), 1
        after = _SMALL.get(tokens[index + 1], 0) if index + 1 < len(tokens) else 0
        if value >= 20 and value % 10 == 0 and 0 < after < 10:
            value, used = value + after, 2
    else:
        return None, 0
    while index + used < len(tokens) and tokens[index + used] in _SCALES:
        value, used = value * _SCALES[tokens[index + used]], used + 1
    return value, used
