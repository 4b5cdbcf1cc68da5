"""Text that says otherwise than what was learnt, or than another new text.

Two sentences are laid side by side: about the same thing, in nearly the same words, with another number, name or a
"not" in the place of one. And what was asked about a passage when it was learnt is asked again, with the new text at
hand: another answer of the same kind is the opposite of what is known. No rule can say who is right; a person can.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from selfedit.graders.words import NEGATIONS, content, stem, with_digits, words
from selfedit.guard.asking import asked_again
from selfedit.guard.base import Guard, Known, Text
from selfedit.guard.claims import Claim, clauses, stems_of
from selfedit.text.reading import shown
from selfedit.types import Flag

_ALIKE = 0.6
"""The share of the shorter sentence's words that the other one has, if both are about the same."""
_FEWEST = 3
"""Words that two clauses have in common at least, where neither a name nor a number stands for another."""
_COMMON = 500
"""Clauses: a word that more of them have finds none."""
_RUN = 3
"""Words that may stand in the place of others."""
_NAMED = re.compile(r"\b([a-z]+)\s+((?:[A-Z][\w'\u2019-]+\s?)+)")
_SMALL = re.compile(r"\b[a-z][\w'\u2019-]*")
_NEGATING = frozenset(map(stem, NEGATIONS))
_CHANGED = re.compile(
    r"\b(?:no longer|formerly|previously|used to|until|before|was once|at first|originally|instead of|rather than|"
    r"in the past|earlier|not to be confused|unlike|contrary to|mistaken|misconception|"
    r"rumou?r|myth|wrongly|in error)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Statement:
    """A clause of a document.

    Attributes:
        source: the document's path and title.
        topic: the words of its title that are names.
        number: the place among new documents; -1 for a known one.
    """

    claim: Claim
    title: str
    source: tuple[str, str]
    topic: frozenset[str]
    number: int = -1

    @property
    def order(self) -> list[str]:
        return content(with_digits(words(self.claim.sentence)))


class _Index:
    """Statements by their words."""

    def __init__(self, statements: Iterable[_Statement]) -> None:
        self.statements = list(statements)
        self._places: dict[str, list[int]] = {}
        for place, statement in enumerate(self.statements):
            for word in statement.claim.words:
                self._places.setdefault(word, []).append(place)

    def alike(self, claim: Claim) -> Iterator[_Statement]:
        """Those that have enough words in common with a claim, found by its rarer ones."""
        rare = (self._places.get(word, []) for word in claim.words)
        for place in sorted({place for places in rare if len(places) <= _COMMON for place in places}):
            statement = self.statements[place]
            shared = len(claim.words & statement.claim.words)
            least = min(len(statement.claim.words), len(claim.words)) - 1
            if shared > 1 and shared >= _ALIKE * least:
                yield statement


class ContradictionGuard(Guard):
    """Stops documents that contradict what is known, and new ones that contradict each other: those all wait."""

    name = "contradiction"

    def screen(self, texts: Sequence[Text], known: Known) -> list[Flag]:
        flags: dict[int, Flag] = {}
        learnt = _Index(
            each
            for item in known.learnt
            for each in _statements(item.task.title, (item.document.path, item.document.title), (item.task.passage,))
        )
        new = _Index(
            each
            for number, text in enumerate(texts)
            for each in _statements(text.title, (text.path, text.title), text.passages, number)
        )
        for statement, why in (*_against(new, learnt), *_among(new)):
            number = statement.number
            flags.setdefault(number, self.flag(texts[number], statement.claim.sentence, why))
        for number, text in enumerate(texts):
            if number not in flags and (found := asked_again(text, known.besides(text), known.reader)):
                flags[number] = self.flag(text, *found)
        return [flags[number] for number in sorted(flags)]


def _statements(title: str, source: tuple[str, str], passages: Sequence[str], number: int = -1) -> Iterator[_Statement]:
    # A word of the title that is also written small is no name.
    small = stems_of(" ".join(_SMALL.findall(" ".join(passages))))
    topic = stems_of(source[1]) - small
    for passage in passages:
        yield from (_Statement(claim, title, source, topic, number) for claim in clauses(passage, title))


def _against(new: _Index, learnt: _Index) -> Iterator[tuple[_Statement, str]]:
    """New statements that say otherwise than known ones."""
    for statement in new.statements:
        for old in learnt.alike(statement.claim):
            if old.source != statement.source and _differ(old, statement):
                yield statement, _otherwise(old, "is known")
                break


def _among(new: _Index) -> Iterator[tuple[_Statement, str]]:
    """New statements that contradict each other."""
    for statement in new.statements:
        for other in new.alike(statement.claim):
            if other.number > statement.number and _differ(other, statement):
                yield statement, _otherwise(other, "is new, too")
                yield other, _otherwise(statement, "is new, too")


def _otherwise(other: _Statement, what: str) -> str:
    return f"'{shown(other.title)}', which {what}, says otherwise: {shown(other.claim.sentence, 160)}"


def _differ(old: _Statement, new: _Statement) -> bool:
    """Whether two statements about one thing cannot both be true, as far as their words say."""
    one, two = old.claim, new.claim
    if _CHANGED.search(one.sentence) or _CHANGED.search(two.sentence):
        return False
    subject = (one.names | stems_of(old.title)) & (two.words | stems_of(new.title))
    # What the old one is about has to be what the new one is about.
    if (old.topic & one.words) - two.words - stems_of(new.title):
        return False
    common, only_old, only_new = one.words & two.words, one.words - two.words, two.words - one.words
    if not subject & (common | stems_of(new.title)) or len(common - subject) < 1:
        return False
    if _negated(one.sentence) != _negated(two.sentence):
        return len(common) >= _FEWEST and min(len(only_old), len(only_new - _NEGATING)) == 0
    if one.numbers and two.numbers:
        # Another number of another thing is no contradiction: what else differs has to be little.
        rest_old, rest_new = only_old - one.numbers, only_new - two.numbers
        is_other_thing = bool(rest_old & one.names and rest_new & two.names)
        return not one.numbers & two.numbers and min(len(rest_old), len(rest_new)) <= 1 and not is_other_thing
    if one.numbers != two.numbers:
        return False
    if only_old and only_new and only_old <= one.names and only_new <= two.names:
        return True
    if _other_name(one, two):
        return True
    return len(common) >= _FEWEST and _replaced(old.order, new.order, one, two)


def _other_name(one: Claim, two: Claim) -> bool:
    """Whether the shorter clause says nothing but what the other one says, with another name behind the same word."""
    rest = [each.words - each.names for each in (one, two)]
    if not (rest[0] <= two.words or rest[1] <= one.words):
        return False
    mine, other = ({word.lower(): stems_of(name) for word, name in _NAMED.findall(c.sentence)} for c in (one, two))
    return any(not mine[word] & other[word] for word in mine.keys() & other.keys())


def _replaced(old: Sequence[str], new: Sequence[str], one: Claim, two: Claim) -> bool:
    """Whether one run of words stands in the place of another, and all the rest is the same."""
    changes = [step for step in SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if step[0] != "equal"]
    if len(changes) != 1 or changes[0][0] != "replace":
        return False
    _, a, b, c, d = changes[0]
    # A name for a name, or a word for a word; at the beginning stands what it is about.
    named = [any(word in claim.names for word in run) for run, claim in ((old[a:b], one), (new[c:d], two))]
    return max(b - a, d - c) <= _RUN and named[0] == named[1] and a > 0


def _negated(sentence: str) -> bool:
    return bool(NEGATIONS & set(words(sentence)))
