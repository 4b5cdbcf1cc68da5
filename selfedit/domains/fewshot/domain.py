"""Few-shot adaptation: demonstrations, trained on as a self-edit says, then asked for new inputs (section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from selfedit.domains.base import Domain
from selfedit.domains.fewshot.choices import choices_of
from selfedit.domains.fewshot.problem import Problem, demonstrations_of, input_of
from selfedit.domains.fewshot.prompt import FORMATS, shown
from selfedit.domains.fewshot.training_problems import training_problems
from selfedit.domains.fewshot.values import Kind
from selfedit.models.prompt import Prompter
from selfedit.policies.formats import Format
from selfedit.types import Demonstration, Example, Hyperparameters, Lesson, Probe, Recipe, SelfEdit, Task, Value


class FewshotDomain(Domain):
    """Trains on problems made of the demonstrations; asks with the demonstrations shown, as the paper does.

    Args:
        end_token: ends every training sequence, so that the model learns where an output ends.
        max_examples: training problems of one edit; 250 in the paper.
        max_steps: an edit that takes more optimizer steps is unusable; 375 in the paper. 0 for no bound.
        max_tokens: trained on in all epochs of an edit together; problems over it are left out. 0 for no bound.
    """

    formats: ClassVar[Mapping[str, Format]] = FORMATS
    default_format: ClassVar[str] = "settings"
    stop = ("\n\n",)
    kind: ClassVar[str] = "fewshot"

    def __init__(
        self,
        prompter: Prompter,
        end_token: int,
        max_examples: int = 250,
        max_steps: int = 375,
        max_tokens: int = 0,
    ) -> None:
        self._prompter, self._end_token = prompter, end_token
        self._most_examples, self._most_steps, self._most_tokens = max_examples, max_steps, max_tokens
        # Where the tokenizer makes one token of several digits, cells are kept apart by spaces.
        self._spaced = len(prompter.encode("00")) < 2

    def lessons(self, task: Task, edit: SelfEdit) -> tuple[Lesson, ...]:
        return self.formats[edit.format].parse(edit.text)

    def recipe(self, task: Task, edit: SelfEdit, hyperparameters: Hyperparameters, seed: int) -> Recipe:
        """The edit's learning rate and epochs take the place of the given ones."""
        kind, pairs = demonstrations_of(task)
        choices = choices_of(task, edit)
        only_output = choices.training.strategy == "train_using_output_tokens"
        problems = training_problems(kind, pairs, choices, seed, self._most_examples)
        examples = [self.example(kind, problem, only_output) for problem in problems]
        if self._most_tokens:
            examples = _within(examples, self._most_tokens // choices.training.num_train_epochs)
        settled = replace(
            hyperparameters,
            learning_rate=choices.training.learning_rate,
            epochs=choices.training.num_train_epochs,
        )
        steps = counted_steps(len(examples), settled)
        if self._most_steps and steps > self._most_steps:
            raise ValueError(f"it takes {steps} steps, and {self._most_steps} are allowed")
        return Recipe(edit.id, tuple(examples), settled, seed)

    def example(self, kind: Kind, problem: Problem, only_output: bool) -> Example:
        """A problem as a training sequence, with the loss on the query's output or on everything."""
        prompt = self.prompt(kind, problem.demonstrations, problem.query.input)
        answer = (*self.written(kind, problem.query.output), self._end_token)
        return Example(prompt + answer, (0.0 if only_output else 1.0,) * len(prompt) + (1.0,) * len(answer))

    def prompt(self, kind: Kind, demonstrations: tuple[Demonstration, ...], asked: Value) -> tuple[int, ...]:
        """The demonstrations and an input, up to where its output begins."""
        text = shown(kind, demonstrations, asked)
        return self._prompter.text(self._apart(text) if kind.name == "grid" else text)

    def question(self, task: Task, probe: Probe, with_context: bool = False) -> tuple[int, ...]:
        """The demonstrations are always shown: they are what there is to go by."""
        kind, pairs = demonstrations_of(task)
        return self.prompt(kind, pairs, input_of(probe))

    def answer(self, text: str) -> tuple[int, ...]:
        """Of a text; `gold` and `written` know of grids, too."""
        return self._prompter.encode(text)

    def written(self, kind: Kind, value: Value) -> tuple[int, ...]:
        """The tokens of an output."""
        text = kind.write(value)
        return self._prompter.encode(self._apart(text) if kind.name == "grid" else text)

    def gold(self, task: Task, probe: Probe) -> tuple[int, ...]:
        kind, _ = demonstrations_of(task)
        return self.written(kind, kind.read(probe.answers[0]) or probe.answers[0])

    def clean(self, task: Task, text: str) -> str:
        """A value is brought into the form that gold answers have."""
        kind, _ = demonstrations_of(task)
        value = kind.read(text)
        return kind.write(value) if value is not None else text.strip()

    def _apart(self, text: str) -> str:
        """Rows of digits with spaces between them, where the tokenizer needs it."""
        if not self._spaced:
            return text
        return "\n".join(" ".join(line) if line.isdigit() else line for line in text.split("\n"))


def _within(examples: list[Example], max_tokens: int) -> list[Example]:
    """As many as fit the bound, in their order; the first always."""
    kept, room = examples[:1], max_tokens - len(examples[0].tokens)
    for example in examples[1:]:
        if len(example.tokens) <= room:
            room -= len(example.tokens)
            kept.append(example)
    return kept


def counted_steps(examples: int, hyperparameters: Hyperparameters) -> int:
    """Optimizer steps as the bound of the paper's code counts them, rounded down (few-shot/self-edit.py, line 553).

    Ours end each epoch with the examples that are left, so that a few more may be taken.
    """
    return hyperparameters.epochs * examples // (hyperparameters.batch_size * hyperparameters.gradient_accumulation)
