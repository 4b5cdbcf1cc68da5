"""Asks probes without their context, many adapters at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from selfedit.domains.base import Domain
from selfedit.generate.base import Generator, Request, Scored
from selfedit.graders import Grader
from selfedit.types import Answer, Evaluation, Model, Task


class Evaluator:
    """Answers greedily, grades, and scores the gold answers.

    Args:
        max_new_tokens: of an answer; 64 in the paper (section 4.2).
    """

    def __init__(self, generator: Generator, domain: Domain, grader: Grader, max_new_tokens: int = 64) -> None:
        self._generator, self._domain, self._grader = generator, domain, grader
        self._max_new_tokens = max_new_tokens

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
        requests, golds = [], []
        for task, model in pairs:
            for probe in task.probes:
                prompt = self._domain.question(task, probe, with_context)
                requests.append(Request(prompt, model, self._max_new_tokens, stop=self._domain.stop))
                golds.append(Scored(prompt, self._domain.gold(task, probe), model))
        generated = self._generator.generate(requests, lambda *_: on_answer() if on_answer else None)
        asked = [(task, probe) for task, _ in pairs for probe in task.probes]
        texts = [self._domain.clean(task, answer.text) for (task, _), answer in zip(asked, generated, strict=True)]
        verdicts = self._grader.grade_all([(probe, text) for (_, probe), text in zip(asked, texts, strict=True)])
        logprobs = self._generator.score(golds)
        graded = iter(zip(texts, verdicts, logprobs, strict=True))
        evaluations = []
        for task, _ in pairs:
            answers = tuple(Answer(probe.id, *next(graded)) for probe in task.probes)
            evaluations.append(Evaluation(task.id, self._grader.name, answers))
        return evaluations
