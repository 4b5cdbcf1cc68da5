"""Questions and passages as routers compare them: terms, how common each is in English, and which are names."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

from bm25s import stopwords

from selfedit.text.matching import normalise


def listed(text: str) -> list[str]:
    """The words of a list that is written as one text."""
    return text.split()


TABLE = Path(__file__).parent.parent / "data" / "routing" / "words.txt"
"""How many of so many passages of English hold the most common terms, from `benchmarks/fit_router.py`. The first line
is the number of passages; each further one a count and the terms that have it."""

_POSSESSIVE = re.compile(r"(?<=\w)['\u2019]s\b")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SENTENCE_END = (".", "!", "?", ":")
_SUFFIXES = tuple(
    listed(
        """izations ization ations ation ments ment ities ity ings ing ions ion ers er ors or ies ied ed es s ly al e
        y"""
    )
)
_IRREGULAR = dict(
    pair.split(":")
    for pair in listed(
        """built:build began:begin begun:begin held:hold made:make gave:give given:give took:take taken:take grew:grow
        grown:grow fell:fall fallen:fall rose:rise risen:rise lost:lose won:win fought:fight taught:teach thought:think
        sold:sell sent:send spoke:speak spoken:speak wrote:write written:write men:man women:woman children:child
        people:person feet:foot paid:pay kept:keep left:leave led:lead met:meet ran:run said:say saw:see seen:see
        knew:know known:know went:go gone:go came:come became:become chose:choose chosen:choose drew:draw drawn:draw
        highest:high largest:large tallest:tall biggest:big longest:long oldest:old"""
    )
)
REFERRING = frozenset(
    listed("it its itself he his him himself she her hers herself they their theirs them this that these those there")
)
"""Words that may stand for what was spoken of before. They have no endings."""

_COMMON = 0.3  # The share of documents from which on a term says nothing.


@dataclass(frozen=True)
class Table:
    """In how many of so many documents of a passage's length a term is found. Terms not listed are rarer than all."""

    documents: int
    counts: Mapping[str, int]

    def information(self, term: str) -> float:
        """What a term says, in nats: 0 if it is everywhere, `most` if the table does not list it."""
        count = self.counts.get(term)
        if count is None:
            # The table is English; without this, 'der' and 'que' would be rare words.
            return 0.0 if term in _stop_terms() else self.most
        return max(0.0, math.log(_COMMON * self.documents / count))

    @cached_property
    def most(self) -> float:
        """The information of a term that is not listed: as if it were found half as often as the rarest that is."""
        return math.log(_COMMON * self.documents / (min(self.counts.values()) / 2))


@cache
def _stop_terms() -> frozenset[str]:
    """What stop words of a dozen languages become as terms."""
    lists = (getattr(stopwords, name) for name in sorted(vars(stopwords)) if name.startswith("STOPWORDS"))
    return frozenset(term for words in lists for word in words for term in terms(word))


@cache
def background() -> Table:
    """The table in the package."""
    first, *lines = TABLE.read_text(encoding="utf-8").splitlines()
    counts = {term: int(count) for count, *terms in map(str.split, lines) for term in terms}
    return Table(int(first), counts)


@dataclass(frozen=True)
class Words:
    """A text's terms in their order, which of them are names, and whether a sentence begins with each."""

    terms: tuple[str, ...]
    names: frozenset[str]


def words(text: str) -> Words:
    """The terms of a text, and those written like a name or a code: capitals inside a sentence, or digits.

    The capital that a sentence begins with says nothing, unless others or digits follow in the same word.
    """
    found: list[str] = []
    names: set[str] = set()
    begins = True
    for word in _POSSESSIVE.sub("", text).split():
        parts = terms(word)
        letters = word.strip("\"'([{\u201c\u2018\u00bf\u00a1")
        inner = any(sign.isupper() or sign.isdigit() for sign in letters[1:]) or letters[:1].isdigit()
        if inner or (letters[:1].isupper() and not begins):
            names.update(parts)
        if parts:
            found += parts
            begins = word.endswith(_SENTENCE_END)
    return Words(tuple(found), frozenset(names))


def terms(text: str) -> list[str]:
    """The stems of a text's words in their order; of scripts without spaces, each pair of neighbouring characters.

    A lone character of such a script is a term by itself, so that no text of letters is without terms.
    """
    found: list[str] = []
    run: list[str] = []
    for token in [*normalise(_POSSESSIVE.sub("", text)).split(), ""]:
        if token and _UNSPACED.fullmatch(token):
            run.append(token)
            continue
        if run:
            found += [first + second for first, second in pairwise(run)] or run
            run = []
        if token:
            found.append(stem(token))
    return found


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """A word without up to two of its endings, so that 'founded', 'founder' and 'founders' are one term."""
    word = _IRREGULAR.get(word, word)
    if word in REFERRING or not (word.isascii() and word.isalpha()):
        return word
    for _ in range(2):
        for suffix in _SUFFIXES:
            if word.endswith(suffix) and len(word) - len(suffix) >= max(3, len(suffix)) and not word.endswith("ss"):
                word = word[: -len(suffix)]
                break
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] else word
