"""Questions that a model asks itself about a passage, for want of others."""

from __future__ import annotations

from collections.abc import Sequence

from selfedit.generate.base import Generator, Request
from selfedit.models.prompt import Prompter
from selfedit.policies.formats import get_format, parse_pairs
from selfedit.seeds import derive_seed
from selfedit.text.matching import answer_in_passage, normalise
from selfedit.types import Model, Probe, Task

MAX_NEW_TOKENS = 256
"""Of all questions about one passage."""


class QuestionWriter:
    """Writes probes with the passage in context. The policy that writes self-edits never sees them.

    A question is dropped if its answer is not in the passage, or if the question gives the answer away.
    """

    def __init__(self, generator: Generator, prompter: Prompter, max_new_tokens: int = MAX_NEW_TOKENS) -> None:
        self._generator, self._prompter, self._max_new_tokens = generator, prompter, max_new_tokens

    def write(
        self, tasks: Sequence[Task], per_task: int, seed: int, model: Model
    ) -> tuple[dict[str, tuple[Probe, ...]], int]:
        """Probes by task id, at most `per_task` each, and how many questions were dropped."""
        self_qa = get_format("self-qa")
        requests = [
            Request(
                self._prompter.chat_prompt(self_qa.prompt(task), self_qa.opening, self_qa.examples),
                model,
                max_new_tokens=self._max_new_tokens,
                temperature=0.7,
                top_p=0.95,
                # Not a seed that any self-edit has, so that the writer of edits does not write the same questions.
                seed=derive_seed(seed, f"questions/{task.id}", 0),
            )
            for task in tasks
        ]
        probes: dict[str, tuple[Probe, ...]] = {}
        dropped = 0
        for task, completion in zip(tasks, self._generator.generate(requests), strict=True):
            kept: dict[str, Probe] = {}
            for lesson in parse_pairs(self_qa.opening + completion.text):
                is_fair = answer_in_passage(lesson.text, task.passage)
                is_fair = is_fair and not answer_in_passage(lesson.text, lesson.question)
                key = normalise(lesson.question)
                if is_fair and key not in kept and len(kept) < per_task:
                    kept[key] = Probe(f"{task.id}.q{len(kept)}", lesson.question, (lesson.text,))
                else:
                    dropped += 1
            probes[task.id] = tuple(kept.values())
        return probes, dropped
