"""What was asked about known passages, asked again with a new text at hand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from selfedit.graders.match import MatchGrader
from selfedit.graders.words import numbers, with_digits, words
from selfedit.guard.base import Reader, Text
from selfedit.guard.claims import stems_of
from selfedit.policies.formats import parse_pairs
from selfedit.policies.spans import sentences
from selfedit.text.matching import answer_in_passage
from selfedit.text.reading import shown
from selfedit.types import Learnt, Probe

_COVERED = 0.5
"""The share of a question's words, names left out, that a sentence has if it may answer the question."""
_LONGEST = 8
"""Words of an answer: a longer one recites."""
_NAME = re.compile(r"(?<!^)\b[A-Z][\w'\u2019-]+")
_GRADER = MatchGrader()


@dataclass(frozen=True)
class _Asked:
    """A question about a known passage, and its right answers, put to a sentence of a new text."""

    probe: Probe
    item: Learnt
    sentence: str


def asked_again(text: Text, known: Sequence[Learnt], reader: Reader | None) -> tuple[str, str] | None:
    """The first sentence that answers what was asked about a known passage otherwise, and why that is one.

    Counted is only what the reader answers rightly with the known passage at hand, so that it knows what is asked, and
    what the version itself does not answer as the new text does.
    """
    asked = [each for item in known for each in _put(item, text)] if reader is not None else []
    if reader is None or not asked:
        return None
    answers = reader.read([(each.probe.question, text.title, each.sentence) for each in asked])
    others = [pair for pair in zip(asked, answers, strict=True) if _is_other(*pair)]
    was = reader.read([(each.probe.question, each.item.task.title, each.item.task.passage) for each, _ in others])
    present = reader.ask([each.probe.question for each, _ in others])
    for (each, answer), old, said in zip(others, was, present, strict=True):
        is_read = _GRADER.grade(each.probe, old).correct
        if is_read and not _GRADER.grade(Probe("", each.probe.question, (answer,)), said).correct:
            known_as, new = shown(each.probe.answers[0], 60), shown(answer, 60)
            why = f"asked '{shown(each.probe.question)}' it says '{new}', what is known says '{known_as}'"
            return each.sentence, f"{why}, and the version '{shown(said, 60)}'"
    return None


def _put(item: Learnt, text: Text) -> Iterator[_Asked]:
    """The questions about a known passage with the sentences of a new text that may answer them."""
    pairs = [(probe.question, probe.answers) for probe in item.task.probes]
    pairs += [(pair.question, (pair.text,)) for edit in item.edits for pair in parse_pairs(edit.text)]
    title = stems_of(text.title)
    for question, answers in dict(pairs).items():
        asked = stems_of(question)
        names: frozenset[str] = asked & {stem for name in _NAME.findall(question) for stem in stems_of(name)}
        topic = stems_of(item.task.title.partition(" - ")[0])
        rest = asked - names - topic
        if not asked & (names | topic) or not rest:
            continue
        # "Who built the lighthouse?" is about the one of the title; about another one it says nothing.
        names = names | (topic & asked) if names else topic
        for passage in text.passages:
            about = title | stems_of(passage)
            for sentence in sentences(passage) if names <= about else ():
                said = stems_of(sentence)
                if len(rest & said) >= _COVERED * len(rest) and (names & (said | title)):
                    yield _Asked(Probe("", question, answers), item, sentence)


def _is_other(each: _Asked, answer: str) -> bool:
    """Whether an answer is of the same kind as the known one, stands in the new text, and says something else."""
    gold = each.probe.answers[0]
    if not answer or len(answer.split()) > _LONGEST or not answer_in_passage(answer, each.sentence):
        return False
    if any(answer_in_passage(known, each.sentence) for known in each.probe.answers):
        return False
    if answer_in_passage(answer, each.probe.question) or answer_in_passage(answer, each.item.task.passage):
        return False
    if bool(_numbers(gold)) != bool(_numbers(answer)) or (gold[:1].isupper() != answer[:1].isupper()):
        return False
    return not _GRADER.grade(each.probe, answer).correct


def _numbers(text: str) -> list[float]:
    return numbers(with_digits(words(text)))
