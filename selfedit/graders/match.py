"""The grader that needs no model: an answer is right if it says a gold answer in nearly its own words."""

from __future__ import annotations

import re

from selfedit.graders.base import Grader
from selfedit.graders.tokens import main_part
from selfedit.graders.words import STOP_WORDS, content, listed, numbers, with_digits, words
from selfedit.text.matching import answer_in_passage
from selfedit.types import Probe, Verdict

RECALL = 0.8
"""The least share of a gold answer's telling words that an answer must have."""

_MONTHS = frozenset(listed("january february march april may june july august september october november december"))
_ABBREVIATION = re.compile(r"\b[A-Z]{2,6}\b")


class MatchGrader(Grader):
    """Any gold answer, whatever its case, punctuation, articles, endings, and way to write numbers and dates.

    In order: containment, the same with numbers as digits and words as stems, dates in any order, abbreviations,
    and the share of the gold answer's words that the question does not give away. Numbers must all be there.
    """

    name = "match"

    def grade(self, probe: Probe, answer: str) -> Verdict:
        predicted = main_part(probe.question, answer)
        for gold in probe.answers:
            reason = _reason(probe.question, gold, predicted)
            if reason:
                return Verdict(True, reason)
        return Verdict(False, f"does not contain '{probe.answers[0]}'" if answer.strip() else "there is no answer")


def _reason(question: str, gold: str, answer: str) -> str | None:
    """Why the answer is right by this gold answer; None if it is not."""
    if answer_in_passage(gold, answer):
        return f"contains '{gold}'"
    gold_words, predicted = with_digits(words(gold)), with_digits(words(answer))
    telling = [word for word in gold_words if word not in STOP_WORDS]
    if not telling:
        return None
    if _in_order(telling, [word for word in predicted if word not in STOP_WORDS]):
        return f"contains '{gold}', but for the way numbers and small words are written"
    if _in_order(content(gold_words), content(predicted)):
        return f"contains '{gold}', but for the endings of words"
    if _is_date(telling):  # 24 and 1848 in another date are no match, so that recall does not apply.
        same = set(telling) <= set(predicted) and set(numbers(predicted)) <= set(numbers(gold_words))
        return f"names the date '{gold}'" if same else None
    if _abbreviates(gold, answer):
        return f"'{gold}' and the answer abbreviate each other"
    return _by_recall(question, gold, gold_words, predicted)


def _by_recall(question: str, gold: str, gold_words: list[str], predicted: list[str]) -> str | None:
    """Whether enough of what the question does not say already is in the answer."""
    asked, given = set(content(with_digits(words(question)))), set(content(predicted))
    new = [word for word in dict.fromkeys(content(gold_words)) if word not in asked]
    if not new or not set(numbers(gold_words)) <= set(numbers(predicted)):
        return None
    shared = [word for word in new if word in given]
    if len(shared) < RECALL * len(new):
        return None
    return f"has {len(shared)} of the {len(new)} words of '{gold}' that the question does not give"


def _in_order(needle: list[str], hay: list[str]) -> bool:
    return f" {' '.join(needle)} " in f" {' '.join(hay)} "


def _is_date(tokens: list[str]) -> bool:
    return bool(_MONTHS & set(tokens)) and all(token in _MONTHS or token[0].isdigit() for token in tokens)


def _abbreviates(gold: str, answer: str) -> bool:
    """Whether one text gives the initials of the other: all of the gold answer's words, or neighbours in the answer."""
    if _initials(gold) in {token.lower() for token in _ABBREVIATION.findall(answer.replace(".", ""))}:
        return True
    short = gold.replace(".", "").strip()
    return bool(_ABBREVIATION.fullmatch(short)) and len(short) > 2 and short.lower() in _initials(answer)


def _initials(text: str) -> str:
    return "".join(word[0] for word in words(text) if word not in STOP_WORDS and word[0].isalpha())
