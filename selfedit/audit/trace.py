"""From weights, or an answer, back to the document, the self-edit and the person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

from selfedit.audit.entry import Entry
from selfedit.types import CORRECTIONS, DocumentRef, Knowledge, Learnt

_ALIKE = 85
"""Of 100: how much of an answer has to be in a text that may be where it came from."""


@dataclass(frozen=True)
class Trace:
    """One passage that a version knows.

    Attributes:
        version: that learnt it.
        adapter: the hash of the weights that hold it.
        edits: what of the self-edits about it was trained on; those that hold the answer, where one is traced.
        entries: what the audit log says of the document and the version, oldest first.
    """

    version: str
    adapter: str
    document: DocumentRef
    passage: str
    edits: tuple[str, ...]
    entries: tuple[Entry, ...]


def trace(knowledge: Knowledge, entries: Sequence[Entry], answer: str = "") -> list[Trace]:
    """Where what a version knows came from.

    Args:
        entries: of the audit log.
        answer: only what may have led to it, by the words in passages and edits, the likeliest first; empty is all.
    """
    if not answer:
        return [_traced(item, tuple(edit.text for edit in item.edits), entries) for item in knowledge.learnt]
    found: list[tuple[float, Trace]] = []
    for item in knowledge.learnt:
        edits = tuple(edit.text for edit in item.edits if _holds(edit.text, answer) >= _ALIKE)
        score = max([_holds(item.task.passage, answer), *(_holds(text, answer) for text in edits)])
        if score >= _ALIKE:
            found.append((score, _traced(item, edits, entries)))
    return [each for _, each in sorted(found, key=lambda pair: -pair[0])]


def _holds(text: str, answer: str) -> float:
    """How much of an answer is in a text, of 100; a text shorter than that is not where it came from."""
    one, other = (" ".join(each.casefold().split()).strip(" .") for each in (text, answer))
    return fuzz.partial_ratio(one, other) if len(one) >= len(other) > 0 else 0.0


def _traced(item: Learnt, edits: tuple[str, ...], entries: Sequence[Entry]) -> Trace:
    made = [entry for entry in entries if entry.subject == item.version]
    subjects = {item.version, *(str(entry.details["was"]) for entry in made if "was" in entry.details)}
    if item.document.is_correction:  # Who said it.
        subjects.add(item.document.path.removeprefix(CORRECTIONS))
    about = [
        entry
        for entry in entries
        if entry.subject in subjects or (not entry.subject and item.document.sha256 in entry.hashes.get("document", ()))
    ]
    return Trace(item.version, item.adapter, item.document, item.task.passage, edits, tuple(about))
