"""The policy that begins with the answer: it takes a span of the text, asks for it, and keeps what it can answer.

Free lists of questions leave most of a passage out, and a small model invents their answers. Here every sentence gives
answers first, word for word; the model only has to ask, and is asked back with the passage in context.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from selfedit.generate.base import Generator, Request
from selfedit.models.prompt import Prompter
from selfedit.policies.base import OnEdit, Policy
from selfedit.policies.spans import Span, spans
from selfedit.seeds import derive_seed
from selfedit.text.matching import answer_in_passage, normalise
from selfedit.types import Model, Probe, SelfEdit, Task

FORMAT = "answer-first"
_QUESTION_TOKENS, _ANSWER_TOKENS = 32, 16
# An answer that says much besides the span does not show that the question asks for it.
_MAX_EXTRA_WORDS = 4

_EXAMPLES = (
    (
        "The Brindle Lighthouse",
        "The Brindle Lighthouse stands on the cape of Sorrel and was finished in 1871 by the mason Edda Corvin.",
        "Edda Corvin",
        "Which mason finished the Brindle Lighthouse?",
    ),
    (
        "The Brindle Lighthouse",
        "Its lamp burns colza oil and can be seen from 31 miles away.",
        "31 miles",
        "From how far away can the lamp of the Brindle Lighthouse be seen?",
    ),
)


def ask_request(title: str, sentence: str, span: str) -> str:
    """The request for a question whose answer is given."""
    return f"{title}\n{sentence}\n\nAsk a question about {title} to which the answer is: {span}"


@dataclass(frozen=True)
class _Draft:
    """A question under way."""

    task: Task
    edit: int
    span: Span
    seed: int
    question: str = ""
    refused: str = ""
    sampled: bool = True
    answer: str = ""


class AnswerFirstPolicy(Policy):
    """Writes self-edits of question-and-answer pairs.

    Args:
        ask: the prompt of a question under a title with a passage in context.
        wordings: questions for each span: the first is the likeliest one, the others are sampled.
        per_sentence: spans of each sentence.
        shown: show worked examples; a model that was taught to ask needs none.
    """

    def __init__(
        self,
        generator: Generator,
        prompter: Prompter,
        ask: Callable[[str, str, str], tuple[int, ...]],
        temperature: float = 0.7,
        top_p: float = 0.95,
        wordings: int = 2,
        per_sentence: int = 3,
        shown: bool = True,
    ) -> None:
        self._generator, self._prompter, self._ask = generator, prompter, ask
        self._temperature, self._top_p = temperature, top_p
        self._wordings, self._per_sentence, self._shown = wordings, per_sentence, shown

    def propose(
        self, tasks: Sequence[Task], edits: int, seed: int, model: Model, on_edit: OnEdit | None = None
    ) -> list[SelfEdit]:
        written = []
        for task in tasks:
            drafts = [
                _Draft(
                    task,
                    number,
                    span,
                    derive_seed(seed, task.id, number, span.text, wording),
                    sampled=bool(number or wording),
                )
                for number in range(edits)
                for span in spans(task.passage, task.title, self._per_sentence)
                for wording in range(self._wordings)
            ]
            drafts = self._checked(self._asked(drafts, model), model)
            drafts += self._again(drafts, seed, model)
            for number in range(edits):
                mine = [draft for draft in drafts if draft.edit == number]
                edit = _edit(task, number, mine, derive_seed(seed, task.id, number))
                written.append(edit)
                if on_edit is not None:
                    on_edit(edit)
        return written

    def _again(self, drafts: Sequence[_Draft], seed: int, model: Model) -> list[_Draft]:
        """Once more, with more freedom, about the sentences that have no question yet."""
        covered = {(draft.edit, draft.span.sentence) for draft in drafts if not draft.refused}
        asked = {(draft.edit, normalise(draft.question)) for draft in drafts}
        spans_ = {(d.edit, d.span): d for d in drafts if (d.edit, d.span.sentence) not in covered}
        again = [
            replace(draft, seed=derive_seed(seed, draft.seed, wording), question="", refused="", sampled=True)
            for draft in spans_.values()
            for wording in range(self._wordings)
        ]
        return self._checked(self._asked(again, model, asked), model)

    def write(
        self, tasks: Sequence[Task], per_task: int, seed: int, model: Model
    ) -> tuple[dict[str, tuple[Probe, ...]], int]:
        """Probes by task id, at most `per_task` each, and how many questions were dropped.

        One for each sentence, sampled with other seeds than those of self-edits, so that they are worded otherwise.
        """
        probes: dict[str, tuple[Probe, ...]] = {}
        dropped = 0
        for task in tasks:
            drafts = [
                _Draft(task, 1, span, derive_seed(seed, f"questions/{task.id}", span.text))
                for span in spans(task.passage, task.title, 1)
            ]
            drafts = self._checked(self._asked(drafts, model), model)
            kept = [draft for draft in drafts if not draft.refused][:per_task]
            dropped += len(drafts) - len(kept)
            probes[task.id] = tuple(
                Probe(f"{task.id}.q{number}", draft.question, (draft.answer,)) for number, draft in enumerate(kept)
            )
        return probes, dropped

    def _asked(self, drafts: Sequence[_Draft], model: Model, before: Collection[tuple[int, str]] = ()) -> list[_Draft]:
        """The drafts with their questions, those that are none, or were asked `before`, refused."""
        requests = [
            Request(
                self._prompt(draft),
                model,
                _QUESTION_TOKENS,
                temperature=self._temperature if draft.sampled else 0.0,
                top_p=self._top_p,
                seed=draft.seed,
                stop=("\n",),
            )
            for draft in drafts
        ]
        texts = [completion.text.strip() for completion in self._generator.generate(requests)]
        asked, seen = [], set(before)
        for draft, text in zip(drafts, texts, strict=True):
            key = (draft.edit, normalise(text))
            asked.append(replace(draft, question=text, refused=_fault(draft, text, key in seen)))
            seen.add(key)
        return asked

    def _checked(self, drafts: Sequence[_Draft], model: Model) -> list[_Draft]:
        """Refused are also those whose answer, with the passage in context, is not the span."""
        good = [draft for draft in drafts if not draft.refused]
        requests = [
            Request(
                self._ask(draft.question, draft.task.title, draft.task.passage),
                model,
                _ANSWER_TOKENS,
                stop=("\n",),
            )
            for draft in good
        ]
        answers = iter([completion.text.strip() for completion in self._generator.generate(requests)])
        checked = []
        for draft in drafts:
            if not draft.refused:
                answer = next(answers)
                agreed = _agreed(draft.span.text, answer)
                draft = replace(draft, answer=agreed) if agreed else replace(draft, refused=f"answered with '{answer}'")
            checked.append(draft)
        return checked

    def _prompt(self, draft: _Draft) -> tuple[int, ...]:
        examples = [(ask_request(*example[:3]), example[3]) for example in _EXAMPLES] if self._shown else []
        # Without the heading: the sentence says what it is about.
        title = draft.task.title.partition(" - ")[0]
        request = ask_request(title, draft.span.sentence, draft.span.text)
        return self._prompter.chat_prompt(request, "", examples)


def _fault(draft: _Draft, question: str, is_repeated: bool) -> str:
    """Why a text is no question to keep, before it is asked back."""
    if not question.endswith("?"):
        return "no question"
    if answer_in_passage(draft.span.text, question):
        return "gives the answer away"
    return "asked before" if is_repeated else ""


def _agreed(span: str, answer: str) -> str:
    """What both the span and the answer say, as the text says it; empty where they differ.

    The answer may be a part of the span ("880" of "880 bytes"), and then it is what the question asks for.
    """
    short, long = normalise(answer).split(), normalise(span).split()
    if len(short) - len(long) <= _MAX_EXTRA_WORDS and answer_in_passage(span, answer):
        return span
    if answer_in_passage(answer, span) and any(len(word) > 2 or word.isdigit() for word in short):
        return answer.strip(" .")
    is_number = [re.fullmatch(r"(\d+)(?:st|nd|rd|th)?", text) for text in (" ".join(short), " ".join(long))]
    return span if all(is_number) and is_number[0][1] == is_number[1][1] else ""  # type: ignore[index]


def _edit(task: Task, number: int, drafts: Sequence[_Draft], seed: int) -> SelfEdit:
    """A self-edit with what was kept, and what was not and why."""
    kept = [f"Question: {draft.question}\nAnswer: {draft.answer}" for draft in drafts if not draft.refused]
    dropped = tuple(f"{draft.span.text}: {draft.question} ({draft.refused})" for draft in drafts if draft.refused)
    return SelfEdit(
        f"{task.id}.e{number}", task.id, FORMAT, "", "\n".join(kept), seed, attempts=len(drafts), dropped=dropped
    )
