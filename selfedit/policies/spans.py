"""What a passage could be asked for: spans of its text that make short answers, so many that every sentence has one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from selfedit.text.matching import normalise

MAX_WORDS = 6
"""Of an answer: longer ones are recited, not known."""

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[^a-z])|\n+")
_WORD = re.compile(r"`[^`\n]+`|\d{1,3}(?:,\d{3})+|[^\W_](?:[\w'\u2019./:%+@#&-]*[\w%+#])?")
# Words that begin with a capital, small words between them included: Night of Oars.
_NAME = re.compile(r"[A-Z][\w'\u2019-]*(?:\s+(?:(?:of|the|de|von|van|la)\s+)*[A-Z][\w'\u2019-]*)*")
# A single word behind one of these is a thing more often than an action.
_BEFORE_THINGS = frozenset("a an the of for in on at by with from its their each every per named called is are".split())  # noqa: SIM905
_NUMBERS = frozenset("two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty".split())  # noqa: SIM905
_FUNCTION_WORDS = """
a about above across after again against all along also although always among an and another any are around as at be
because been before behind being below beside between beyond both but by can cannot could did do does doing done
down during each early either else every few first for from further had has have having he her here hers him his how
however i if in inside into is it its itself just last late let like made make many may me might more most much must
my near neither never no nor not now of off often on once one only onto or other our out outside over own per rather
same shall she should since so some still such than that the their them then there these they this those though
through to too towards under until up upon us very via was we were what when where whether which while who whom
whose why will with within without would yet you your
"""
_FUNCTION = frozenset(_FUNCTION_WORDS.split())
_VERBAL = re.compile(r".{3,}(?:ed|ing|ly)$")
_ROW = re.compile(r"^\s*\|(.+)\|\s*$")
_KEY, _VALUE = r"[*_`\"]*([^:=|]{1,60}?)[*_`\"]*", r"(\S.{0,80}?)[\"',;]?"
_PAIR = re.compile(rf"^\s*(?:[-*•]\s+)?{_KEY}\s*(?::|=|\s[-\u2013\u2014]\s)\s*{_VALUE}\s*$")


@dataclass(frozen=True)
class Span:
    """An answer, word for word, and the sentence, row or line that holds it."""

    text: str
    sentence: str


def sentences(text: str) -> list[str]:
    """The sentences, rows and lines of a text."""
    return [part.strip() for part in _SENTENCE_END.split(text) if _WORD.search(part)]


def spans(text: str, title: str, per_sentence: int = 3) -> list[Span]:
    """At most `per_sentence` spans of each sentence, the most telling first, none that the title gives away.

    Numbers with their units, names, what stands in quotes or in code, cells of tables and values of keys come before
    other runs of words that carry meaning; what stands at the end of a sentence is new more often than its beginning.
    """
    named = set(normalise(title).split()) - _FUNCTION
    chosen: dict[str, Span] = {}
    for sentence in sentences(text):
        ranked = sorted(_candidates(sentence, named), key=lambda pair: -pair[1])
        taken: list[str] = []
        for candidate, _ in ranked:
            words = normalise(candidate).split()
            if not words or len(words) > MAX_WORDS or set(words) <= named | _FUNCTION:
                continue
            if any(_overlap(words, normalise(other).split()) for other in taken):
                continue
            taken.append(candidate)
            chosen.setdefault(normalise(candidate), Span(candidate, sentence))
            if len(taken) == per_sentence:
                break
    return list(chosen.values())


def _overlap(words: list[str], others: list[str]) -> bool:
    """Whether one holds the other."""
    short, long = sorted((" ".join(words), " ".join(others)), key=len)
    return f" {short} " in f" {long} "


def _candidates(sentence: str, named: set[str]) -> Iterator[tuple[str, float]]:
    """Possible answers with what they are worth."""
    if row := _ROW.match(sentence):
        cells = [cell.strip(" *`") for cell in row[1].split("|")]
        yield from ((cell, 3.0) for cell in cells[1:] if _WORD.search(cell))
        return
    if (pair := _PAIR.match(sentence)) and len(pair[2].split()) <= MAX_WORDS:
        yield pair[2].strip("*_`\"' "), 4.0
    for quoted in re.findall(r"`([^`\n]+)`|\"([^\"\n]+)\"|“([^”\n]+)”", sentence):
        yield "".join(quoted), 3.0
    for name in _NAME.finditer(sentence):
        # A sentence begins with a capital anyway.
        if name.start() > 0 or " " in name[0]:
            yield name[0], 2.0 + name.end() / len(sentence)
    words = list(_WORD.finditer(sentence))
    for run in _runs(sentence, words, named):
        yield from _parts(sentence, words, run, named)


def _runs(sentence: str, words: list[re.Match[str]], named: set[str]) -> Iterator[range]:
    """Runs of words between function words, what the title names, and punctuation."""
    start = None
    for i, word in enumerate(words):
        carries = word[0].lower() not in _FUNCTION and normalise(word[0]) not in named
        between = sentence[words[i - 1].end() : word.start()] if i else ""
        if start is not None and (not carries or between.strip()):
            yield range(start, i)
            start = None
        if carries and start is None:
            start = i
    if start is not None:
        yield range(start, len(words))


def _parts(sentence: str, words: list[re.Match[str]], run: range, named: set[str]) -> Iterator[tuple[str, float]]:
    """A run and the numbers in it with their units, with a worth for each."""
    place = run.stop / max(1, len(words))

    def cut(first: int, last: int) -> str:
        return sentence[words[first].start() : words[last].end()].strip("`.,:;")

    for i in run:
        if any(c.isdigit() for c in words[i][0]) or words[i][0].lower() in _NUMBERS:
            yield cut(i, min(i + 1, run.stop - 1)), 2.5 + place
    first = run.start
    # A verb or an adverb at the beginning belongs to what is asked, not to the answer.
    follows_name = first > 0 and normalise(words[first - 1][0]) in named
    while first < run.stop - 1 and (_VERBAL.match(words[first][0].lower()) or (follows_name and first == run.start)):
        first += 1
    text = cut(first, run.stop - 1)
    if first < run.stop - 1:
        yield text, 1.3 + place
    elif first > 0 and len(text) > 3 and not _VERBAL.match(text.lower()):
        before = words[first - 1][0].lower()
        if before in _BEFORE_THINGS or first > run.start:
            yield text, 1.0 + place
