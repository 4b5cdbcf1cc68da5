"""What a passage could be asked for: spans of its text that make short answers, so many that every sentence has one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from selfedit.text.matching import normalise

HOW_MANY = "how many "
MAX_WORDS = 6
"""Of an answer: longer ones are recited, not known."""
_ENOUGH = 2
"""Words that a question takes from its sentence."""

_SENTENCE_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"')\]\u201d]))\s+(?=[^a-z])")
_MARK = re.compile(r"^\s*(?:[-*+\u2022]|\d{1,3}[.)])\s+")
_WORD = re.compile(r"`[^`\n]+`|\d{1,3}(?:,\d{3})+|[^\W_](?:[\w'\u2019./:%+@#&-]*[\w%+#])?")
# Words that begin with a capital, small words between them included: Night of Oars.
_NAME = re.compile(r"[A-Z][\w'\u2019-]*(?:\s+(?:(?:of|the|de|von|van|la)\s+)*[A-Z][\w'\u2019-]*)*")
# A single word behind one of these is a thing more often than an action.
_BEFORE_THINGS = frozenset("a an the of for in on at by with from its their each every per named called is are".split())  # noqa: SIM905
_NUMBERS = frozenset("two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty".split())  # noqa: SIM905
_COUNT = frozenset(
    "no none zero one eleven thirteen fourteen fifteen sixteen seventeen eighteen nineteen sixty seventy eighty ninety "  # noqa: SIM905
    "hundred thousand million billion dozen half several".split()
).union(_NUMBERS)
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)")
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
FUNCTION = frozenset(_FUNCTION_WORDS.split())
_VERBAL = re.compile(r".{3,}(?:ed|ing|ly)$")
_ROW = re.compile(r"^\s*\|(.+)\|\s*$")
_RULE = re.compile(r"^\s*\|?(?:\s*:?-+:?\s*\|)+\s*:?-*:?\s*$")
_KEY, _VALUE = r"[*_`\"]*([^:=|]{1,60}?)[*_`\"]*", r"(\S.{0,80}?)[\"',;]?"
_COMMAND = re.compile(r"^(\S.*?)\s+(?:#|//)\s+\w")  # With a comment that says what it does.
_PAIR = re.compile(rf"^{_KEY}\s*(?::|=|\s[-\u2013\u2014]\s)\s*{_VALUE}\s*$")


@dataclass(frozen=True)
class Span:
    """An answer, word for word, and the sentence, row or line that holds it.

    Attributes:
        question: that a row's column or a line's key asks by itself; empty for sentences.
    """

    text: str
    sentence: str
    question: str = ""


def sentences(text: str) -> list[str]:
    """The sentences, rows and lines of a text, without the marks of lists."""
    lines = (_MARK.sub("", line) for line in text.split("\n"))
    return [part.strip() for line in lines for part in _SENTENCE_END.split(line) if _WORD.search(part)]


def shared_words(question: str, sentence: str, known: str) -> int:
    """How many words that carry meaning a question takes from a sentence, besides those that are `known`.

    The first letters decide, since questions inflect: founded, founder.
    """
    return len(_stems(question) & _stems(sentence) - _stems(known))


def made_up(question: str, title: str, passage: str) -> str:
    """The first number or name of a question that neither title nor passage has; empty where there is none.

    A small model writes names wrong, and years that it has read elsewhere.
    """
    known = set(normalise(f"{title} {passage}").split())
    first, *others = question.split() or [""]
    for word in ([first] if any(map(str.isdigit, first)) else []) + others:
        if any(map(str.isdigit, word)) or (word[:1].isupper() and len(word) > 1):
            parts = [part for part in normalise(word).split() if part != "s"]
            if not known.issuperset(parts):
                return word.strip("?.,;:\"'()")
    return ""


def says_enough(question: str, sentence: str, title: str, answer: str) -> bool:
    """Whether a question takes so much from its sentence, beside title and answer, that it is about nothing else."""
    return shared_words(question, sentence, f"{title} {answer}") >= _ENOUGH


def wants_a_count(question: str, answer: str) -> bool:
    """Whether a question asks how many, and the answer says no number."""
    return question.casefold().startswith(HOW_MANY) and not says_a_count(answer)


def says_a_count(answer: str) -> bool:
    """Whether there is a number in an answer, in digits or in words; '23rd' is none."""
    words = re.split(r"[\s-]+", answer.casefold())
    return any((any(map(str.isdigit, w)) and not _ORDINAL.fullmatch(w)) or w.strip(".,") in _COUNT for w in words)


def _stems(text: str) -> set[str]:
    return {word[:5] for word in normalise(text).split() if word not in FUNCTION}


def spans(text: str, title: str, per_sentence: int = 3) -> list[Span]:
    """At most `per_sentence` spans of each sentence, the most telling first, none that the title gives away.

    Numbers with their units, names, what stands in quotes or in code, cells of tables and values of keys come before
    other runs of words that carry meaning; what stands at the end of a sentence is new more often than its beginning.
    """
    named = set(normalise(title).split()) - FUNCTION
    chosen: dict[str, Span] = {}
    headers = _headers(text)
    for sentence in sentences(text):
        header = headers.get(sentence, [])
        if header != _cells(sentence) or not header:
            for span in _of_sentence(sentence, named, per_sentence, _asked_by(sentence, header, title)):
                chosen.setdefault(normalise(span.text), span)
    return list(chosen.values())


def _headers(text: str) -> dict[str, list[str]]:
    """The names of the columns, for each row of a table that has a line of them; it heads itself, too."""
    headers: dict[str, list[str]] = {}
    header: list[str] = []
    lines = [line.strip() for line in text.split("\n")]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if not _cells(line):
            header = []
        elif _RULE.match(following):
            header = _cells(line)
        if header:
            headers[line] = header
    return headers


def _of_sentence(sentence: str, named: set[str], limit: int, asked_by: dict[str, str]) -> list[Span]:
    taken: list[Span] = []
    for candidate, _ in sorted(_candidates(sentence, named), key=lambda pair: -pair[1]):
        words = normalise(candidate).split()
        if not words or len(words) > MAX_WORDS or set(words) <= named | FUNCTION:
            continue
        if any(_overlap(words, normalise(other.text).split()) for other in taken):
            continue
        taken.append(Span(candidate, sentence, asked_by.get(candidate, "")))
        if len(taken) == limit:
            break
    return taken


def _asked_by(line: str, header: list[str], title: str) -> dict[str, str]:
    """The questions that a row's columns, or a line's key, ask for its values."""
    cells = _cells(line)
    if cells and len(cells) == len(header):
        return {cell: f"What is the {_small(head)} of {cells[0]}?" for head, cell in zip(header, cells, strict=True)}
    if not cells and (pair := _PAIR.match(line)) and len(pair[1].split()) <= MAX_WORDS:
        # Without the heading: the key says what is asked.
        return {_value(pair): f"What is the {_small(pair[1])} of {title.partition(' - ')[0]}?"}
    return {}


def _cells(line: str) -> list[str]:
    """The cells of a table's row; none where it is not one."""
    row = _ROW.match(line)
    return [cell.strip(" *`") for cell in row[1].split("|")] if row else []


def _value(pair: re.Match[str]) -> str:
    return pair[2].strip("*_`\"' ")


def _small(name: str) -> str:
    """A heading as it stands within a sentence: 'Port' is not a name, 'TTL' is."""
    return name if name[1:2].isupper() else name[:1].lower() + name[1:]


def _overlap(words: list[str], others: list[str]) -> bool:
    """Whether one holds the other."""
    short, long = sorted((" ".join(words), " ".join(others)), key=len)
    return f" {short} " in f" {long} "


def _candidates(sentence: str, named: set[str]) -> Iterator[tuple[str, float]]:
    """Possible answers with what they are worth."""
    if cells := _cells(sentence):
        yield from ((cell, 3.0) for cell in cells[1:] if _WORD.search(cell))
        return
    if (pair := _PAIR.match(sentence)) and len(pair[2].split()) <= MAX_WORDS:
        yield _value(pair), 4.0
    if command := _COMMAND.match(sentence):
        yield command[1], 4.0
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
        carries = word[0].lower() not in FUNCTION and normalise(word[0]) not in named
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
