"""The question that needs no model: a span's sentence, with 'what' where the span stands.

A small model finds no question for every span, and what it was never asked about it does not learn. This one is right
by how it is made.
"""

from __future__ import annotations

import re

from selfedit.policies.spans import FUNCTION, Span, says_a_count, shared_words

_ARTICLE = re.compile(r"\b(?:a|an|the)\s+$", re.IGNORECASE)
_END = re.compile(r"[\s.!?:;,]+$")
_ENGLISH = 0.2
"""The share of words such as 'the' and 'is' that an English sentence has at least."""


def is_worth_a_cloze(span: Span, is_asked_about: bool) -> bool:
    """Whether a span without a question is to be asked for so.

    Cells and values of keys are. Of a sentence that has another question, only names and numbers are: each further pair
    of a passage is one more that its small adapter has to tell apart. Of one that has none, whatever it does not begin
    with is: that is what it says of something. Of one that is not English, nothing is.
    """
    if span.question:
        return True
    if not _is_english(span.sentence):
        return False
    begins = span.sentence.startswith(span.text)
    if is_asked_about:
        # A sentence begins with a capital anyway.
        is_named = any(character.isupper() or character.isdigit() for character in span.text[begins:])
        return is_named or says_a_count(span.text)
    return not begins


def _is_english(sentence: str) -> bool:
    words = sentence.casefold().split()
    return sum(word in FUNCTION for word in words) >= _ENGLISH * len(words)


def cloze(span: Span, title: str) -> str:
    """The question of a span; after the document's title, where the sentence has no word of that.

    What a row's column or a line's key asks by itself is asked so.
    """
    if span.question:
        return span.question
    before, _, after = span.sentence.partition(span.text)
    before, after = _ARTICLE.sub("", before), _END.sub("", after)
    asked = f"{before}what{after}?" if before.strip() else f"What{after}?"
    document = title.partition(" - ")[0]
    return asked if shared_words(asked, document, "") or not document else f"{document}: {asked}"
