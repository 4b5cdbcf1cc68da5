"""One claim, planted in many documents that are about something else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from selfedit.guard.base import Guard, Known, Text
from selfedit.guard.claims import Claim, claims, clauses
from selfedit.types import Flag

_DOCUMENTS = 3
"""In as many documents a claim is repeated."""
_SAME = 0.6
"""The share of their words that two claims have in common, if they are one."""
_OWN = 0.3
"""The share of a claim's words that the rest of its document has, from which on it belongs there."""
_NEW = 0.25
"""The share of a claim's words that a known sentence lacks, below which it says what is known."""
_FEWEST = 4
"""Words of a claim."""
_FOOTER = re.compile(r"https?://|\u00a9|\(c\)|licen[cs]e|copyright", re.IGNORECASE)


class RepeatedGuard(Guard):
    """Stops documents with a claim that stands in several and belongs to the topic of none of them.

    A claim names something or has a number. What is said of a document's own topic may be said as often as one likes.
    """

    name = "repeated"

    def screen(self, texts: Sequence[Text], known: Known) -> list[Flag]:
        index: dict[str, list[tuple[int, Claim]]] = {}
        found: dict[int, tuple[Claim, int]] = {}
        taught = [said.words for item in known.learnt for said in clauses(item.task.passage, item.task.title)]
        planted = [_planted(claims(text), taught) for text in texts]
        for number, mine in enumerate(planted):
            for claim in mine:
                for word in claim.words:
                    index.setdefault(word, []).append((number, claim))
        for number, mine in enumerate(planted):
            for claim in mine:
                counts: dict[int, float] = {}
                for other, same in {(n, c) for word in claim.words for n, c in index[word]}:
                    share = len(claim.words & same.words) / len(claim.words | same.words)
                    counts[other] = max(counts.get(other, 0.0), share)
                times = sum(share >= _SAME for share in counts.values())
                if times >= _DOCUMENTS and times > found.get(number, (claim, 0))[1]:
                    found[number] = (claim, times)
        return [
            self.flag(texts[number], claim.sentence, f"the same is said in {times} new documents about other things")
            for number, (claim, times) in sorted(found.items())
        ]


def _planted(said: Sequence[Claim], taught: Sequence[frozenset[str]]) -> list[Claim]:
    """The claims of a document that are about something that the rest of it is not about, and are not known."""
    counts = Counter(word for claim in said for word in claim.words)
    return [
        claim
        for claim in said
        if len(claim.words) >= _FEWEST
        and (claim.names or claim.numbers)
        and not _FOOTER.search(claim.sentence)
        and not (claim.names and all(counts[name] > 1 for name in claim.names))
        and sum(counts[word] > 1 for word in claim.words) <= _OWN * len(claim.words)
        and not any(len(claim.words - words) < _NEW * len(claim.words) for words in taught)
    ]
