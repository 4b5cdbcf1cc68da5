"""The policy that begins with the answer: it takes a span of the text, asks for it, and keeps what it can answer.

Free lists of questions leave most of a passage out, and a small model invents their answers. Here every sentence gives
answers first, word for word; the model only has to ask, and is asked back with the passage in context.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from selfedit.generate.base import Generator, Request
from selfedit.models.prompt import Prompter
from selfedit.policies.base import OnEdit, Student
from selfedit.policies.draft import ANSWERED, REPEATED, Draft, agreed_on, clozes_of, edit_of, fault
from selfedit.policies.formats import parse_pairs
from selfedit.policies.spans import Span, says_enough, sentences, shared_words, spans
from selfedit.seeds import derive_seed
from selfedit.text.matching import answer_in_passage
from selfedit.types import Example, Model, Probe, SelfEdit, Task

_QUESTION_TOKENS, _ANSWER_TOKENS = 32, 16
_TOGETHER = 8
"""Passages that are asked about together: more decode faster, and are lost together if the process is killed."""
_MORE_FREEDOM = 0.3
"""By what part of it the temperature rises with each further attempt at a span."""

_REWORDED = 2
"""Attempts at each other wording."""
_FREE = 2.0
"""What the temperature is multiplied by for other wordings, which are to differ."""

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

_READ = (
    ("user", f"{_EXAMPLES[0][1]} {_EXAMPLES[1][1]}\n\n{_EXAMPLES[0][3]}"),
    ("assistant", _EXAMPLES[0][2]),
    ("user", _EXAMPLES[1][3]),
    ("assistant", _EXAMPLES[1][2]),
)
"""The same the other way round. A chat model answers in whole sentences, which agree with no span, unless it sees that
a few words are wanted."""


class Ask(Protocol):
    """Makes the prompt of a question under a title with a passage in context, after earlier turns as (role, text)."""

    def __call__(
        self, question: str, topic: str, context: str, earlier: Sequence[tuple[str, str]] = ()
    ) -> tuple[int, ...]: ...


def _groups(tasks: Sequence[Task]) -> Iterator[Sequence[Task]]:
    """Those that are asked about together."""
    return (tasks[start : start + _TOGETHER] for start in range(0, len(tasks), _TOGETHER))


def ask_request(title: str, sentence: str, span: str) -> str:
    """The request for a question whose answer is given."""
    return f"{title}\n{sentence}\n\nAsk a question about {title} to which the answer is: {span}"


class AnswerFirstPolicy(Student):
    """Writes self-edits of question-and-answer pairs.

    Args:
        ask: makes the prompt by which a question is asked back.
        end_token: ends a question, where one is to be learnt.
        wordings: questions for each span: the first is the likeliest one, the others are sampled.
        per_sentence: spans of each sentence.
        shown: show worked examples; a model that was taught to ask and to answer needs none.
        attempts: at spans that have no question yet.
        clozes: ask in its own sentence for what has no question then.
    """

    def __init__(
        self,
        generator: Generator,
        prompter: Prompter,
        ask: Ask,
        end_token: int,
        temperature: float = 0.7,
        top_p: float = 0.95,
        wordings: int = 2,
        per_sentence: int = 3,
        shown: bool = True,
        attempts: int = 2,
        clozes: bool = True,
    ) -> None:
        self._attempts, self._end_token, self._with_clozes = attempts, end_token, clozes
        self._generator, self._prompter, self._ask = generator, prompter, ask
        self._temperature, self._top_p = temperature, top_p
        self._wordings, self._per_sentence, self._shown = wordings, per_sentence, shown

    def propose(
        self, tasks: Sequence[Task], edits: int, seed: int, model: Model, on_edit: OnEdit | None = None
    ) -> list[SelfEdit]:
        written = []
        for together in _groups(tasks):
            drafts = self._drafted(together, edits, seed, model)
            for task in together:
                for number in range(edits):
                    mine = [draft for draft in drafts if (draft.task.id, draft.edit) == (task.id, number)]
                    written.append(edit_of(task, number, mine, derive_seed(seed, task.id, number)))
                    if on_edit is not None:
                        on_edit(written[-1])
        return written

    def examples(self, task: Task, edit: SelfEdit) -> tuple[Example, ...]:
        """Each question that the model wrote, asked for by its answer and the sentence it is most likely about."""
        learnt = []
        for lesson in parse_pairs(edit.text, clozes=False):
            holding = [each for each in sentences(task.passage) if answer_in_passage(lesson.text, each)]
            if not holding:
                continue
            sentence = max(holding, key=lambda each: shared_words(lesson.question, each, lesson.text))
            written = (*self._prompter.encode(lesson.question), self._end_token)
            learnt.append(Example.completion(self._request(task, Span(lesson.text, sentence)), written))
        return tuple(learnt)

    def prompt(self, task: Task) -> tuple[int, ...]:
        """Of asking for a question; where nothing can be asked for, of asking one back."""
        asked = [self._request(task, span) for span in spans(task.passage, task.title, self._per_sentence)]
        return max(asked, key=len, default=self._ask("", task.title, task.passage))

    def _drafted(self, tasks: Sequence[Task], edits: int, seed: int, model: Model) -> list[Draft]:
        """Questions about all spans, those kept and those refused."""
        blanks = [
            Draft(task, number, span, derive_seed(seed, task.id, number, span.text), freedom=float(number > 0))
            for task in tasks
            for number in range(edits)
            for span in spans(task.passage, task.title, self._per_sentence)
        ]
        drafts: list[Draft] = []
        for attempt in range(self._attempts):
            known = {draft.place for draft in drafts if not draft.refused}
            missing = [blank for blank in blanks if blank.place not in known]
            drafts += self._tried(missing, 1 if attempt else self._wordings, attempt, drafts, model)
        return drafts + (clozes_of(blanks, drafts) if self._with_clozes else [])

    def _tried(
        self, blanks: Sequence[Draft], wordings: int, attempt: int, before: Sequence[Draft], model: Model
    ) -> list[Draft]:
        """One attempt at spans that have no question yet, with more freedom than the one before."""
        drafts = [
            replace(
                blank,
                seed=derive_seed(blank.seed, attempt, wording),
                freedom=1 + attempt * _MORE_FREEDOM if blank.freedom or wording or attempt else 0.0,
                question="" if wording or attempt else blank.span.question,
            )
            for blank in blanks
            for wording in range(wordings)
        ]
        return self._checked(self._asked(drafts, model, before), model, before)

    def write(
        self, tasks: Sequence[Task], per_task: int, seed: int, model: Model
    ) -> tuple[dict[str, tuple[Probe, ...]], int]:
        """Probes by task id, at most `per_task` each, and how many questions were dropped.

        One for each sentence, sampled with other seeds than those of self-edits, so that they are worded otherwise.
        """
        probes: dict[str, tuple[Probe, ...]] = {}
        written = 0
        for together in _groups(tasks):
            blanks = [
                Draft(task, 1, span, derive_seed(seed, f"questions/{task.id}", span.text))
                for task in together
                for span in spans(task.passage, task.title, 1)
            ]
            drafts = self._checked(self._asked(blanks, model), model)
            written += len(drafts)
            for task in together:
                kept = [draft for draft in drafts if draft.task.id == task.id and not draft.refused][:per_task]
                probes[task.id] = tuple(
                    Probe(f"{task.id}.q{number}", draft.question, (draft.answer,)) for number, draft in enumerate(kept)
                )
        return probes, written - sum(map(len, probes.values()))

    def reword(self, tasks: Sequence[Task], count: int, seed: int, model: Model) -> dict[str, tuple[str, ...]]:
        """Other questions with the same answer, at most `count` for each task, by its id.

        Args:
            tasks: each with one probe, which is what is worded otherwise, and a context that holds its answer.
        """
        drafts = []
        for task in tasks:
            answer = task.probes[0].answers[0]
            holding = [each for each in sentences(task.passage) if answer_in_passage(answer, each)] or [task.passage]
            for number in range(_REWORDED * count):
                span, own = Span(answer, holding[number % len(holding)]), derive_seed(seed, "reword", task.id, number)
                drafts.append(Draft(task, 0, span, own, freedom=0.0 if number < len(holding) else _FREE))
        found: dict[str, list[str]] = {task.id: [] for task in tasks}
        for draft in self._checked(self._asked(drafts, model), model):
            if not draft.refused and len(found[draft.task.id]) < count:
                found[draft.task.id].append(draft.question)
        return {id: tuple(questions) for id, questions in found.items()}

    def _asked(self, drafts: Sequence[Draft], model: Model, before: Sequence[Draft] = ()) -> list[Draft]:
        """The drafts with their questions; what is none, or was asked about the same span `before`, is refused."""
        requests = [
            Request(
                self._request(draft.task, draft.span),
                model,
                _QUESTION_TOKENS,
                temperature=self._temperature * draft.freedom,
                top_p=self._top_p,
                seed=draft.seed,
                stop=("\n",),
            )
            for draft in drafts
            if not draft.question
        ]
        texts = iter([completion.text.strip() for completion in self._generator.generate(requests)])
        asked = []
        seen = {(draft.key, draft.span) for draft in before}
        for draft in drafts:
            draft = draft if draft.question else replace(draft, question=next(texts))
            asked.append(replace(draft, refused=fault(draft, (draft.key, draft.span) in seen)))
            seen.add((draft.key, draft.span))
        return asked

    def _checked(self, drafts: Sequence[Draft], model: Model, before: Sequence[Draft] = ()) -> list[Draft]:
        """Refused are also those whose answer, with the text at hand, is not the span.

        A question that takes up much of its sentence may be asked with that alone: in a passage a small model looks
        for the answer in the wrong place. One question may come of several spans, and asks for the one that answers it.
        """
        drafts = self._answered(drafts, [not draft.refused for draft in drafts], False, model)
        lost = [
            draft.refused.startswith(ANSWERED)
            and says_enough(draft.question, draft.span.sentence, draft.task.title, draft.span.text)
            for draft in drafts
        ]
        kept = {draft.key for draft in before if not draft.refused}
        checked = []
        for draft in self._answered(drafts, lost, True, model):
            if not draft.refused and draft.key in kept:
                draft = replace(draft, refused=REPEATED)
            elif not draft.refused:
                kept.add(draft.key)
            checked.append(draft)
        return checked

    def _answered(self, drafts: Sequence[Draft], due: Sequence[bool], sentence: bool, model: Model) -> list[Draft]:
        """The drafts, those that are due with what the model answers with the passage or the sentence in context."""
        requests = []
        for draft in (draft for draft, is_due in zip(drafts, due, strict=True) if is_due):
            text = draft.span.sentence if sentence else draft.task.passage
            prompt = self._ask(draft.question, draft.task.title, text, _READ if self._shown else ())
            # A small model misspells names that it has never seen, even with the text at hand.
            requests.append(Request(prompt, model, _ANSWER_TOKENS, stop=("\n",), words_of=text))
        answers = iter([completion.text.strip() for completion in self._generator.generate(requests)])
        answered = []
        for draft, is_due in zip(drafts, due, strict=True):
            if is_due:
                answer = next(answers)
                agreed = agreed_on(draft.span.text, answer, draft.question)
                # What it answered with the passage in context says more of why it was refused.
                refused = "" if agreed else draft.refused or f"{ANSWERED} '{answer}'"
                draft = replace(draft, answer=agreed, refused=refused)
            answered.append(draft)
        return answered

    def _request(self, task: Task, span: Span) -> tuple[int, ...]:
        examples = [(ask_request(*example[:3]), example[3]) for example in _EXAMPLES] if self._shown else []
        # Without the heading: the sentence says what it is about.
        request = ask_request(task.title.partition(" - ")[0], span.sentence, span.text)
        return self._prompter.chat_prompt(request, "", examples)
