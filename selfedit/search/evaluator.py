"""Asks probes without their context, many models at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from selfedit.domains.base import Domain
from selfedit.generate.base import Generator, Request, Scored
from selfedit.graders import Grader
from selfedit.types import Answer, Evaluation, Model, Probe, Task


@dataclass(frozen=True)
class Asked:
    """A probe of a task, put to a model under the task's title."""

    task: Task
    probe: Probe
    model: Model


class Evaluator:
    """Answers greedily, grades, and scores the gold answers.

    Args:
        max_new_tokens: of an answer; 64 in the paper (section 4.2).
    """

    def __init__(self, generator: Generator, domain: Domain, grader: Grader, max_new_tokens: int = 64) -> None:
        self._generator, self._domain, self._grader = generator, domain, grader
        self._max_new_tokens = max_new_tokens

    @property
    def grader_name(self) -> str:
        """What an evaluation says of who graded it."""
        return self._grader.name

    def evaluate(
        self,
        pairs: Sequence[tuple[Task, Model]],
        on_answer: Callable[[], None] | None = None,
        with_context: bool = False,
    ) -> list[Evaluation]:
        """One evaluation for each task and model, all decoded together.

        Args:
            with_context: show the task's context with the question: what is asked for where all is well.
        """
        asked = [Asked(task, probe, model) for task, model in pairs for probe in task.probes]
        answers = iter(self.ask(asked, on_answer, with_context))
        return [Evaluation(task.id, self._grader.name, tuple(next(answers) for _ in task.probes)) for task, _ in pairs]

    def ask(
        self, asked: Sequence[Asked], on_answer: Callable[[], None] | None = None, with_context: bool = False
    ) -> list[Answer]:
        """An answer to each probe, in their order, all decoded together."""
        prompts = [self._domain.question(each.task, each.probe, with_context) for each in asked]
        requests = [
            Request(prompt, each.model, self._max_new_tokens, stop=self._domain.stop)
            for prompt, each in zip(prompts, asked, strict=True)
        ]
        golds = [
            Scored(prompt, self._domain.gold(each.task, each.probe), each.model)
            for prompt, each in zip(prompts, asked, strict=True)
        ]
        generated = self._generator.generate(requests, lambda *_: on_answer() if on_answer else None)
        texts = [self._domain.clean(each.task, done.text) for each, done in zip(asked, generated, strict=True)]
        verdicts = self._grader.grade_all([(each.probe, text) for each, text in zip(asked, texts, strict=True)])
        logprobs = self._generator.score(golds)
        return [
            Answer(each.probe.id, text, verdict, logprob)
            for each, text, verdict, logprob in zip(asked, texts, verdicts, logprobs, strict=True)
        ]
