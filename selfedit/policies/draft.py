"""A question under way: what it asks for, what becomes of it, and what is made of those that are kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from selfedit.policies.cloze import cloze, is_worth_a_cloze
from selfedit.policies.formats import ANSWER_FIRST
from selfedit.policies.spans import HOW_MANY, Span, made_up, wants_a_count
from selfedit.text.matching import answer_in_passage, normalise
from selfedit.types import SelfEdit, Task

# An answer that says much besides the span does not show that the question asks for it.
_MAX_EXTRA_WORDS = 4
REPEATED, ANSWERED = "asked before", "answered with"
"""How two of the reasons begin for which a question is refused."""


@dataclass(frozen=True)
class Draft:
    """A question under way.

    Attributes:
        freedom: what the temperature is multiplied by; 0 takes the likeliest question.
        is_cloze: whether it is the sentence itself that asks, and no model did.
    """

    task: Task
    edit: int
    span: Span
    seed: int
    question: str = ""
    refused: str = ""
    freedom: float = 1.0
    answer: str = ""
    is_cloze: bool = False

    @property
    def key(self) -> tuple[str, int, str]:
        """What no two kept ones share."""
        return self.task.id, self.edit, normalise(self.question)

    @property
    def place(self) -> tuple[str, int, Span]:
        """What it asks for, and in which edit."""
        return self.task.id, self.edit, self.span


def clozes_of(blanks: Sequence[Draft], drafts: Sequence[Draft]) -> list[Draft]:
    """Spans without a question, each asked for in its own sentence, where that is worth its training."""
    kept = [draft for draft in drafts if not draft.refused]
    places, keys = {draft.place for draft in kept}, {draft.key for draft in kept}
    asked = {(draft.task.id, draft.edit, draft.span.sentence) for draft in kept}
    found = []
    for blank in blanks:
        sentence = (blank.task.id, blank.edit, blank.span.sentence)
        if blank.place in places or not is_worth_a_cloze(blank.span, sentence in asked):
            continue
        question = cloze(blank.span, blank.task.title)
        draft = replace(blank, question=question, answer=blank.span.text, is_cloze=True)
        if not _fault_in_itself(draft) and draft.key not in keys:
            found.append(draft)
            keys.add(draft.key)
    return found


def fault(draft: Draft, is_repeated: bool) -> str:
    """Why a text is no question to keep, before it is asked back."""
    if not draft.question.endswith("?"):
        return "no question"
    if own := _fault_in_itself(draft):
        return own
    if wants_a_count(draft.question, draft.span.text):
        return "asks for a number"
    if name := made_up(draft.question, draft.task.title, draft.task.passage):
        return f"'{name}' is not in the text"
    return REPEATED if is_repeated else ""


def _fault_in_itself(draft: Draft) -> str:
    """Why a question is not to be kept, whoever asks it."""
    if answer_in_passage(draft.span.text, draft.question):
        return "gives the answer away"
    # It could not be trained on without making the figure that the probe gives worthless: another wording is sought.
    if normalise(draft.question) in {normalise(probe.question) for probe in draft.task.probes}:
        return "a test's question"
    return ""


def agreed_on(span: str, answer: str, question: str) -> str:
    """What both the span and the answer say, as the text says it; empty where they differ.

    The answer may be a part of the span ("880" of "880 bytes" to "How many bytes?"), and then it is what the question
    asks for. One that ends before the span does has lost its head ("burnt" of "burnt sugar"), unless it says how many.
    """
    short, long = normalise(answer).split(), normalise(span).split()
    if len(short) - len(long) <= _MAX_EXTRA_WORDS and answer_in_passage(span, answer):
        return span
    # Not a part of a word: "OT-5529" is not the number "OT-5529-K".
    whole = (
        f" {' '.join(_bare(word) for word in answer.split())} " in f" {' '.join(_bare(word) for word in span.split())} "
    )
    if answer_in_passage(answer, span) and whole and any(len(word) > 2 or word.isdigit() for word in short):
        is_whole_thing = short[-1:] == long[-1:] or question.casefold().startswith(HOW_MANY)
        return answer.strip(" .") if is_whole_thing else span
    is_number = [re.fullmatch(r"(\d+)(?:st|nd|rd|th)?", text) for text in (" ".join(short), " ".join(long))]
    return span if all(is_number) and is_number[0][1] == is_number[1][1] else ""  # type: ignore[index]


def _bare(word: str) -> str:
    return word.strip(".,;:!?()[]\"'`*").casefold()


def edit_of(task: Task, number: int, drafts: Sequence[Draft], seed: int) -> SelfEdit:
    """A self-edit with what was kept, and what was not and why."""
    kept = [
        f"{'Cloze' if draft.is_cloze else 'Question'}: {draft.question}\nAnswer: {draft.answer}"
        for draft in drafts
        if not draft.refused
    ]
    dropped = tuple(f"{draft.span.text}: {draft.question} ({draft.refused})" for draft in drafts if draft.refused)
    attempts = sum(not draft.is_cloze for draft in drafts)
    return SelfEdit(
        f"{task.id}.e{number}", task.id, ANSWER_FIRST, "", "\n".join(kept), seed, attempts=attempts, dropped=dropped
    )
