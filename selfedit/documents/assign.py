"""Tells which passage a question is about."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from selfedit.documents.base import Passage, Question
from selfedit.text.matching import answer_forms, forms, holds, normalise

_FUNCTION_WORDS = """
a about after all also an and any are as at be been before between but by can could did do does during for from had has
have he her his how i in into is it its many much no not of on or s she that the their them there these they this those
to was we were what when where which while who whom whose why will with would you
"""
_IGNORED = frozenset(_FUNCTION_WORDS.split())


class PassageIndex:
    """Finds the passage that a question is most likely about."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._texts = [passage.text for passage in passages]
        self._forms = [forms(passage.text) for passage in passages]
        self._holders: dict[str, set[int]] = defaultdict(set)
        for i, passage in enumerate(passages):
            for word in normalise(f"{passage.title} {passage.text}").split():
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
        for word in sorted(set(normalise(f"{question.question} {question.context}").split()) - _IGNORED):
            holders = self._holders.get(word, set())
            for i in holders & (holding or candidates):
                scores[i] += math.log(1 + len(self._texts) / len(holders))
        return max(holding or candidates, key=lambda i: (scores[i], -i))

    def _with_answer(self, answer: str, candidates: set[int]) -> set[int]:
        # Only passages with all of the answer's words can hold it; articles may be missing.
        for word in answer_forms(answer)[1].split():
            candidates = candidates & self._holders.get(word, set())
        return {i for i in candidates if holds(self._forms[i], self._texts[i], answer)}
