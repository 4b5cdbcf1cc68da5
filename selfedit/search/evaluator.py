"""Asks probes without their context, many models at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from selfedit.domains.base import BETWEEN_GUESSES, Domain, Inquiry
from selfedit.generate.base import Completion, Generator, Request, Scored
from selfedit.graders import Grader
from selfedit.types import Answer, Evaluation, Model, Probe, Task, Verdict


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

    def write(self, asked: Sequence[Asked]) -> list[Completion]:
        """What is written to each probe, ungraded, all decoded together."""
        domain = self._domain
        return self._generator.generate(
            [
                Request(domain.question(each.task, each.probe), each.model, self._max_new_tokens, stop=domain.stop)
                for each in asked
            ]
        )

    def ask(
        self, asked: Sequence[Asked], on_answer: Callable[[], None] | None = None, with_context: bool = False
    ) -> list[Answer]:
        """An answer to each probe, in their order, all decoded together."""
        domain = self._domain
        inquiries = [domain.inquiry(each.task, each.probe, with_context) for each in asked]
        golds = [
            Scored(domain.question(each.task, each.probe, with_context), domain.gold(each.task, each.probe), each.model)
            for each in asked
        ]
        # An answer is there when the last of its prompts is answered.
        last = set(accumulate(len(inquiry.prompts) for inquiry in inquiries))

        def on_written(place: int) -> None:
            if on_answer is not None and place + 1 in last:
                on_answer()

        models = [each.model for each in asked]
        guesses = guessed(self._generator, inquiries, models, domain.stop, self._max_new_tokens, on_written)
        graded = [(each.probe, guess) for each, made in zip(asked, guesses, strict=True) for guess in made]
        verdicts = iter(self._grader.grade_all(graded))
        logprobs = self._generator.score(golds)
        return [
            Answer(each.probe.id, BETWEEN_GUESSES.join(made), _best([next(verdicts) for _ in made]), logprob)
            for each, made, logprob in zip(asked, guesses, logprobs, strict=True)
        ]


def _best(verdicts: Sequence[Verdict]) -> Verdict:
    """Of several guesses, any one may be right."""
    return next((verdict for verdict in verdicts if verdict.correct), verdicts[0])


def guessed(
    generator: Generator,
    inquiries: Sequence[Inquiry],
    models: Sequence[Model],
    stop: tuple[str, ...],
    max_new_tokens: int,
    on_written: Callable[[int], None],
) -> list[tuple[str, ...]]:
    """The guesses at each probe, the best first, out of what its model writes to each of its prompts.

    Args:
        on_written: called with the place of each prompt, all counted on, when it is answered.
    """
    requests = [
        Request(prompt, model, max_new_tokens, stop=stop)
        for inquiry, model in zip(inquiries, models, strict=True)
        for prompt in inquiry.prompts
    ]
    written = iter(generator.generate(requests, lambda place, _: on_written(place)))
    return [inquiry.guesses([next(written).text for _ in inquiry.prompts]) for inquiry in inquiries]
