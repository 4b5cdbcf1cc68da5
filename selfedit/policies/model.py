"""The policy that is a language model: it writes self-edits by sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from selfedit.generate.base import Completion, Generator, Request
from selfedit.models.prompt import Prompter
from selfedit.policies.base import OnEdit, Student
from selfedit.policies.formats import Format
from selfedit.seeds import derive_seed
from selfedit.types import Example, Model, SelfEdit, Task


class ModelPolicy(Student):
    """Samples self-edits in one format.

    Args:
        end_tokens: any of them may end a text; the first is written where an edit to learn from has none.
        temperature, top_p: 1.0 and 0.95 in the paper (section 4.2).
        max_new_tokens: of one self-edit; a longer one is cut, and what it says until there is used.
        constrained: sample only what follows the format's schema, where it has one.
    """

    def __init__(
        self,
        generator: Generator,
        prompter: Prompter,
        format_: Format,
        end_tokens: Sequence[int],
        temperature: float = 1.0,
        top_p: float = 0.95,
        max_new_tokens: int = 512,
        constrained: bool = True,
    ) -> None:
        self._generator, self._prompter, self._format, self._end_tokens = generator, prompter, format_, end_tokens
        self._temperature, self._top_p, self._max_new_tokens = temperature, top_p, max_new_tokens
        self._constrained = constrained

    def propose(
        self, tasks: Sequence[Task], edits: int, seed: int, model: Model, on_edit: OnEdit | None = None
    ) -> list[SelfEdit]:
        blanks = [self._blank(task, number, seed) for task in tasks for number in range(edits)]
        if not self._format.is_written:
            if on_edit is not None:
                for edit in blanks:
                    on_edit(edit)
            return blanks
        schemas = {task.id: self._format.schema(task) if self._constrained else "" for task in tasks}
        requests = [self._request(edit, model, schemas[edit.task_id]) for edit in blanks]
        written: dict[int, SelfEdit] = {}

        def done(index: int, completion: Completion) -> None:
            written[index] = self._fill(blanks[index], completion)
            if on_edit is not None:
                on_edit(written[index])

        self._generator.generate(requests, done)
        return [written[index] for index in range(len(blanks))]

    def prompt(self, task: Task) -> tuple[int, ...]:
        """See Student."""
        return self._prompt(self._blank(task, 0, 0)) if self._format.is_written else ()

    def examples(self, task: Task, edit: SelfEdit) -> tuple[Example, ...]:
        """The prompt without loss, then the edit and its end."""
        prompt = self._prompt(edit)
        written = edit.token_ids or self._prompter.encode(edit.text.removeprefix(self._format.opening))
        # An edit that was cut off at its longest is not taught to end there.
        is_open = len(written) < self._max_new_tokens and written[-1] not in self._end_tokens
        ended = (*written, self._end_tokens[0]) if is_open else written
        return (Example.completion(prompt, tuple(ended)),)

    def _blank(self, task: Task, number: int, seed: int) -> SelfEdit:
        prompt = self._format.prompt(task) if self._format.is_written else ""
        return SelfEdit(
            f"{task.id}.e{number}", task.id, self._format.name, prompt, "", derive_seed(seed, task.id, number)
        )

    def _prompt(self, edit: SelfEdit) -> tuple[int, ...]:
        return self._prompter.chat_prompt(edit.prompt, self._format.opening, self._format.examples)

    def _request(self, edit: SelfEdit, model: Model, schema: str) -> Request:
        return Request(
            self._prompt(edit),
            model,
            schema=schema,
            max_new_tokens=self._max_new_tokens,
            temperature=self._temperature,
            top_p=self._top_p,
            seed=edit.seed,
        )

    def _fill(self, edit: SelfEdit, completion: Completion) -> SelfEdit:
        return replace(
            edit,
            text=self._format.opening + completion.text,
            token_ids=completion.tokens,
            logprobs=completion.logprobs,
        )
