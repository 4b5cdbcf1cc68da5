"""An edit's text as training sequences, taken as it stands: list markers, repeats and pairs are left alone.

So the paper's official code trains (`build_train_sequences` in its knowledge-incorporation/src/utils.py); what it makes
of published edits is what we make of them (tests/domains/test_sequences.py). Nothing here looks at an edit's format.
"""

from __future__ import annotations

import re

_NEXT_QUESTION = re.compile(r"\n(?=Question\s+\d+:)")
_IS_PAIRS = (re.compile(r"Question\s+\d+:"), re.compile(r"Answer\s*:"))


def whole_edits(text: str) -> tuple[str, ...]:
    """The edit as one sequence, or several where it is divided by `---`."""
    return tuple(part.strip() for part in text.split("---") if part.strip())


def lines(text: str) -> tuple[str, ...]:
    """Each line a sequence; of numbered questions each with its answer; a preamble before a list is dropped."""
    if all(pattern.search(text) for pattern in _IS_PAIRS):
        first, *others = _NEXT_QUESTION.split(text.strip())
        numbered = first.lstrip().startswith("Question")
        return (first if numbered else f"Question 1: {first.strip()}", *others)
    rows = [line.strip() for part in whole_edits(text) for line in part.splitlines() if line.strip()]
    has_preamble = len(rows) > 1 and rows[1].startswith("1.")
    return tuple(rows[1:] if has_preamble else rows)
