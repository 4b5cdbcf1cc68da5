"""Tells which passage a question is about, and whether a passage holds an answer."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache

from selfedit.documents.base import Passage, Question

# Scripts without spaces between words: there every character counts as a word.
_UNSPACED = re.compile("([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])")
_INITIALS = re.compile(r"\b(?:[^\W\d_]\.)+[^\W\d_]\b\.?")
_NUMBER_COMMA = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_PUNCTUATION = re.compile(r"(?<!\d)\.|\.(?!\d)|[^\w.]|_")
# An article stands before a word; the last word of 'vitamin A' is none.
_ARTICLE = re.compile(r"\b(?:a|an|the) (?=\S)")
_FUNCTION_WORDS = """
a about after all also an and any are as at be been before between but by can could did do does during for from had has
have he her his how i in into is it its many much no not of on or s she that the their them there these they this those
to was we were what when where which while who whom whose why will with would you
"""
_IGNORED = frozenset(_FUNCTION_WORDS.split())


def answer_in_passage(answer: str, text: str) -> bool:
    """Whether `text` contains `answer` as whole words.

    Case, punctuation, whitespace, articles and the commas in numbers do not count. An answer of symbols only is
    sought as it is; an empty one is in no text.
    """
    return _holds(_forms(text), text, answer)


def _normalise(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    text = _INITIALS.sub(lambda match: match[0].replace(".", ""), text)
    text = _PUNCTUATION.sub(" ", _NUMBER_COMMA.sub("", text))
    return " ".join(_UNSPACED.sub(r" \1 ", text).split())


def _forms(text: str) -> tuple[str, str]:
    """Return normalised text with and without articles, each between spaces.

    Both are needed: 'The Hague' is in 'Hague', but 'vitamin A' is only in 'vitamin A helps' while the A is there.
    """
    normal = _normalise(text)
    return f" {normal} ", f" {_ARTICLE.sub('', normal)} "


_answer_forms = lru_cache(maxsize=4096)(_forms)  # an answer is sought in many passages


def _holds(forms: tuple[str, str], text: str, answer: str) -> bool:
    wanted = _answer_forms(answer)
    if not wanted[0].strip():
        return bool(answer.strip()) and answer.strip() in text
    return any(needle in hay for needle, hay in zip(wanted, forms, strict=True))


class PassageIndex:
    """Finds the passage that a question is most likely about."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._texts = [passage.text for passage in passages]
        self._forms = [_forms(passage.text) for passage in passages]
        self._holders: dict[str, set[int]] = defaultdict(set)
        for i, passage in enumerate(passages):
            for word in _normalise(f"{passage.title} {passage.text}").split():
                self._holders[word].add(i)

    def best(self, question: Question, among: Iterable[int]) -> int:
        """Return the one of the passages `among` (by index, at least one) that the question fits best.

        A passage of the question's context, if given, goes before others, then one that holds an answer, then the
        one that shares most words with the question and its context, rare words weighing more, then the first.
        """
        candidates = set(among)
        if context := question.context:
            of_context = {i for i in candidates if context in self._texts[i] or self._texts[i] in context}
            candidates = of_context or candidates
        holding = {i for answer in question.answers for i in self._with_answer(answer, candidates)}
        scores: dict[int, float] = defaultdict(float)
        # Sorted, since the order of a sum of floats shows in its last digit.
        for word in sorted(set(_normalise(f"{question.question} {question.context}").split()) - _IGNORED):
            found = self._holders.get(word, set())
            for i in found & (holding or candidates):
                scores[i] += math.log(1 + len(self._texts) / len(found))
        return max(holding or candidates, key=lambda i: (scores[i], -i))

    def _with_answer(self, answer: str, candidates: set[int]) -> set[int]:
        # Only passages with all of the answer's words can hold it; articles may be missing.
        for word in _answer_forms(answer)[1].split():
            candidates = candidates & self._holders.get(word, set())
        return {i for i in candidates if _holds(self._forms[i], self._texts[i], answer)}
