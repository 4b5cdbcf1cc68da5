"""Knowledge: passages to be remembered, and questions asked without them (paper, section 3.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from selfedit.domains.base import Domain
from selfedit.domains.sequences import lines, whole_edits
from selfedit.models.prompt import Prompter
from selfedit.models.wording import fill
from selfedit.text.matching import answer_in_passage, normalise
from selfedit.types import Example, Hyperparameters, Lesson, Probe, Recipe, SelfEdit, Task

_SPOKEN = {"user": "Question: ", "assistant": "Answer: "}
"""How earlier turns begin where a model has no chat template."""


class KnowledgeDomain(Domain):
    """Trains on a passage and on what the self-edit says of it, each piece a sequence of its own.

    Statements stand under the passage's title, as in the paper. Question-and-answer pairs are written as they
    will be asked, with the loss on the answer (we deviate: the paper trains on them as plain lines).

    Args:
        end_token: ends every training sequence, so that the model learns to stop.
        grounded: leave out pairs whose answer is not in the passage; a small model invents many.
        sentences: train on each sentence of the passage too, not on the whole alone (we deviate).
        sequences: what of an edit is one: each of its `lessons` as its format reads them; or, as the paper has it,
            each of its `lines` as it stands (single passages), or the whole `edit` (many passages).
    """

    def __init__(
        self,
        prompter: Prompter,
        end_token: int,
        grounded: bool = True,
        sentences: bool = True,
        sequences: Literal["lessons", "lines", "edit"] = "lessons",
    ) -> None:
        self._prompter, self._end_token = prompter, end_token
        self._grounded, self._sentences, self._sequences = grounded, sentences, sequences
        self._asking = prompter.wording.asking
        self.stop = self.stop if self._asking.stop is None else self._asking.stop

    def lessons(self, task: Task, edit: SelfEdit) -> tuple[Lesson, ...]:
        """A probe's own question is never asked in one of them; sequences that are taken as they stand ask nothing."""
        if self._sequences != "lessons":
            divide = whole_edits if self._sequences == "edit" else lines
            return tuple(map(Lesson, divide(edit.text))) if edit.format != "none" else ()
        asked = {normalise(probe.question) for probe in task.probes}
        lessons = []
        for lesson in self.formats[edit.format].parse(edit.text):
            if lesson.question and normalise(lesson.question) in asked:
                continue
            if lesson.question and self._grounded and not answer_in_passage(lesson.text, task.passage):
                continue
            lessons.append(lesson)
        return tuple(lessons)

    def recipe(self, task: Task, edit: SelfEdit, hyperparameters: Hyperparameters, seed: int) -> Recipe:
        """The passage itself is always trained on, and is all there is in format `none`."""
        lessons = self.lessons(task, edit)
        if edit.format != "none" and not lessons:
            raise ValueError("nothing in the edit could be used")
        statements = [task.passage, *(_sentences(task.passage) if self._sentences else ())]
        examples = [self._statement(task.title, statement) for statement in dict.fromkeys(statements)]
        for lesson in lessons:
            if lesson.question:
                examples.append(self._pair(task.title, lesson))
            else:
                examples.append(self._statement(task.title, lesson.text))
        return Recipe(edit.id, tuple(examples), hyperparameters, seed)

    def question(self, task: Task, probe: Probe, with_context: bool = False) -> tuple[int, ...]:
        """The question stands under its topic, as in the paper."""
        return self.ask(probe.question, task.title, task.passage if with_context else "")

    def ask(
        self, question: str, topic: str = "", context: str = "", earlier: Sequence[tuple[str, str]] = ()
    ) -> tuple[int, ...]:
        """The prompt of a question, under a topic and a passage if there are any.

        Args:
            earlier: what was said before in the conversation, as (role, text).

        Raises:
            ValueError: the model's chat template does not take the earlier turns.
        """
        own = self._asking.in_context if context else self._asking.question
        heading = (f"Topic: {topic}\n" if topic else "") + (f"{context}\n\n" if context else "")
        said = fill(own, title=topic, question=question, passage=context) if own else f"{heading}{question}"
        if self._prompter.chat:
            turns = [*earlier, ("user", said)]
            return self._prompter.conversation(turns) if earlier else self._prompter.chat_prompt(said)
        before = "".join(f"{_SPOKEN.get(role, '')}{text}\n\n" for role, text in earlier)
        return self._prompter.text(before + (said if own else f"{heading}Question: {question}\nAnswer:"))

    def answer(self, text: str) -> tuple[int, ...]:
        after_space = self._prompter.chat or self._asking.question[-1:].isspace()
        return self._prompter.encode(text if after_space else f" {text}")

    def _statement(self, title: str, text: str) -> Example:
        tokens = (*self._prompter.text(f"{title}\n{text}"), self._end_token)
        return Example(tokens, (1.0,) * len(tokens))

    def _pair(self, title: str, lesson: Lesson) -> Example:
        prompt = self.ask(lesson.question, title)
        answer = (*self.answer(lesson.text), self._end_token)
        return Example.completion(prompt, answer)


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^a-z])|\n+")


def _sentences(text: str) -> list[str]:
    return [sentence.strip() for sentence in _SENTENCE_END.split(text) if sentence.strip()]
