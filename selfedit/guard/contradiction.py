"""Text that says otherwise than what was learnt, or than another new text.

Two sentences are laid side by side: about the same thing, in nearly the same words, with another number, name or a
"not" in the place of one. And what was asked about a passage when it was learnt is asked again, with the new text at
hand: another answer of the same kind is the opposite of what is known. No rule can say who is right; a person can.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from selfedit.graders.words import NEGATIONS, content, stem, with_digits, words
from selfedit.guard.asking import asked_again
from selfedit.guard.base import Guard, Known, Text
from selfedit.guard.claims import Claim, clauses, stems_of
from selfedit.text.reading import shown
from selfedit.types import Flag, Learnt

_ALIKE = 0.6
"""The share of the shorter sentence's words that the other one has, if both are about the same."""
_FEWEST = 3
"""Words that two clauses have in common at least, where neither a name nor a number stands for another."""
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
    """A clause of a document, `owner` its number, -1 for a known one.

    Attributes:
        topic: the words of the document's title that are names.
    """

    claim: Claim
    title: str
    topic: frozenset[str]
    owner: int

    @property
    def order(self) -> list[str]:
        return content(with_digits(words(self.claim.sentence)))


class ContradictionGuard(Guard):
    """Stops documents that contradict what is known, and new ones that contradict each other: those all wait."""

    name = "contradiction"

    def screen(self, texts: Sequence[Text], known: Known) -> list[Flag]:
        flags = {}
        for number, text in enumerate(texts):
            others = known.besides(text)
            if found := _against_known(text, others) or asked_again(text, others, known.reader):
                flags[number] = self.flag(text, *found)
        for number, (sentence, why) in _among(texts).items():
            flags.setdefault(number, self.flag(texts[number], sentence, why))
        return [flags[number] for number in sorted(flags)]


def _against_known(text: Text, known: Sequence[Learnt]) -> tuple[str, str] | None:
    """The first sentence that says otherwise than a known one."""
    index = _index(statement for item in known for statement in _statements(item.task.title, (item.task.passage,), -1))
    for new in _statements(text.title, text.passages, 0):
        for old in _candidates(new.claim, index):
            if _differ(old, new):
                why = f"'{shown(old.title)}', which is known, says otherwise: {shown(old.claim.sentence, 160)}"
                return new.claim.sentence, why
    return None


def _statements(title: str, passages: Sequence[str], owner: int) -> list[_Statement]:
    # A word of the title that is also written small is no name.
    small = stems_of(" ".join(_SMALL.findall(" ".join(passages))))
    topic = frozenset(stems_of(title.partition(" - ")[0]) - small)
    return [_Statement(claim, title, topic, owner) for passage in passages for claim in clauses(passage, title)]


def _among(texts: Sequence[Text]) -> dict[int, tuple[str, str]]:
    """Sentences of new documents that contradict each other, by the documents' numbers."""
    statements = [each for n, text in enumerate(texts) for each in _statements(text.title, text.passages, n)]
    index = _index(statements)
    found: dict[int, tuple[str, str]] = {}
    for new in statements:
        for other in _candidates(new.claim, index):
            if other.owner > new.owner and _differ(other, new):
                for one, two in ((new, other), (other, new)):
                    why = f"'{shown(two.title)}', which is new, too, says otherwise: {shown(two.claim.sentence, 160)}"
                    found.setdefault(one.owner, (one.claim.sentence, why))
    return found


def _index(statements: Iterable[_Statement]) -> dict[str, list[_Statement]]:
    index: dict[str, list[_Statement]] = {}
    for statement in statements:
        for word in statement.claim.words:
            index.setdefault(word, []).append(statement)
    return index


def _candidates(claim: Claim, index: dict[str, list[_Statement]]) -> list[_Statement]:
    """Statements that have enough words in common with a claim."""
    counts: dict[_Statement, int] = {}
    for word in claim.words:
        for statement in index.get(word, ()):
            counts[statement] = counts.get(statement, 0) + 1
    return [s for s, n in counts.items() if n >= 2 and n >= _ALIKE * (min(len(s.claim.words), len(claim.words)) - 1)]


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
