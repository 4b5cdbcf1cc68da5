"""Few-shot adaptation: demonstrations, trained on as a self-edit says, then asked for new inputs (section 3.2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import ClassVar, Literal

from selfedit.domains.base import Domain, Inquiry
from selfedit.domains.fewshot.choices import RECIPES, Choices, FixedName, choices_of
from selfedit.domains.fewshot.official_problems import official_problems
from selfedit.domains.fewshot.problem import Problem, demonstrations_of, input_of
from selfedit.domains.fewshot.prompt import FORMATS
from selfedit.domains.fewshot.training_problems import training_problems
from selfedit.domains.fewshot.values import Kind
from selfedit.domains.fewshot.views import VIEWS, View, ViewsName, most_common, official_vote
from selfedit.domains.fewshot.wording import WORDINGS, WordingName
from selfedit.models.prompt import Prompter
from selfedit.policies.formats import Format
from selfedit.types import Demonstration, Example, Hyperparameters, Lesson, Probe, Recipe, SelfEdit, Task, Value

ProblemsName = Literal["wide", "official"]


class FewshotDomain(Domain):
    """Trains on problems made of the demonstrations; asks with the demonstrations shown, as the paper does.

    Args:
        end_token: ends every training sequence, so that the model learns where an output ends.
        max_examples: training problems of one edit; 250 in the paper.
        max_steps: an edit that takes more optimizer steps is unusable; 375 in the paper. 0 for no bound.
        max_tokens: trained on in all epochs of an edit together; problems over it are left out. 0 for no bound.
        max_problem_tokens: a problem of as many tokens or more is left out, and a view of one. 0 for no bound.
        problems: how training problems of grids are made; `official` as by the paper's code.
        prompt: how demonstrations and inputs are put into words; `chat` in the paper's code.
        views: in how many ways an input is looked at, whose predictions vote; `leave-one-out` in the paper's code.
        guesses: at an output, of which one has to be right; 2 in the paper's code. One view makes one guess.
        fixed: the recipe that no policy chose; `oracle` is the one that the paper calls Oracle TTT.
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
        max_problem_tokens: int = 0,
        problems: ProblemsName = "wide",
        prompt: WordingName = "plain",
        views: ViewsName = "once",
        guesses: int = 1,
        fixed: FixedName = "basic",
    ) -> None:
        self._wording = WORDINGS[prompt](prompter, end_token)
        self._prompter, self._problems, self._fixed, self._guesses = prompter, problems, RECIPES[fixed], guesses
        self._views, self._has_official_vote = VIEWS[views], views == "leave-one-out"
        self._most_examples, self._most_steps, self._most_tokens = max_examples, max_steps, max_tokens
        self._most_problem_tokens = max_problem_tokens

    def cheaply(self, max_tokens: int) -> FewshotDomain:
        """The same with one view, and training on fewer tokens: for trying much. 0 leaves training as it is."""
        other = copy(self)
        other._views, other._has_official_vote = VIEWS["once"], False
        bounds = [bound for bound in (self._most_tokens, max_tokens) if bound]
        other._most_tokens = min(bounds, default=0)
        return other

    def lessons(self, task: Task, edit: SelfEdit) -> tuple[Lesson, ...]:
        return self.formats[edit.format].parse(edit.text)

    def is_readable(self, task: Task, edit: SelfEdit) -> bool:
        """Whether it is JSON, whatever it says: all that the official code asks for (few-shot/self-edit.py, 461)."""
        try:
            json.loads(edit.text)
        except ValueError:
            return False
        return True

    def recipe(self, task: Task, edit: SelfEdit, hyperparameters: Hyperparameters, seed: int) -> Recipe:
        """The edit's learning rate and epochs take the place of the given ones."""
        kind, pairs = demonstrations_of(task)
        choices = self._fixed[kind.name] if edit.format == "none" else choices_of(task, edit)
        only_output = choices.training.strategy == "train_using_output_tokens"
        problems = self.training_problems(kind, pairs, choices, seed)
        examples = self._bounded(self.example(kind, problem, only_output) for problem in problems)
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

    def training_problems(
        self, kind: Kind, pairs: tuple[Demonstration, ...], choices: Choices, seed: int
    ) -> list[Problem]:
        """All problems, in the order in which a bound takes them."""
        if self._problems == "official" and kind.name == "grid":
            return official_problems(pairs, choices.groups, seed)
        return training_problems(kind, pairs, choices, seed)

    def _bounded(self, examples: Iterable[Example]) -> list[Example]:
        """The first `max_examples` that are not too long."""
        kept: list[Example] = []
        for example in examples:
            if len(kept) == self._most_examples:
                break
            if self._fits(example.tokens):
                kept.append(example)
        if not kept:
            raise ValueError(f"none of its problems has fewer than {self._most_problem_tokens} tokens")
        return kept

    def _fits(self, tokens: Sequence[int]) -> bool:
        return not self._most_problem_tokens or len(tokens) < self._most_problem_tokens

    def example(self, kind: Kind, problem: Problem, only_output: bool) -> Example:
        """A problem as a training sequence, with the loss on the query's output or on everything."""
        prompt = self.prompt(kind, problem.demonstrations, problem.query.input)
        answer = (*self.written(kind, problem.query.output), self._wording.end_token)
        return Example(prompt + answer, (0.0 if only_output else 1.0,) * len(prompt) + (1.0,) * len(answer))

    def prompt(self, kind: Kind, demonstrations: tuple[Demonstration, ...], asked: Value) -> tuple[int, ...]:
        """The demonstrations and an input, up to where its output begins."""
        return self._wording.prompt(kind, demonstrations, asked)

    def question(self, task: Task, probe: Probe, with_context: bool = False) -> tuple[int, ...]:
        """The demonstrations are always shown, all of them: they are what there is to go by."""
        kind, pairs = demonstrations_of(task)
        return self.prompt(kind, pairs, input_of(probe))

    def inquiry(self, task: Task, probe: Probe, with_context: bool = False) -> Inquiry:
        """A prompt for each view; the guesses are what their predictions, undone, agree on most."""
        kind, _ = demonstrations_of(task)
        seen = self._seen(task, probe)
        views = [view for view, _ in seen]
        return Inquiry(tuple(prompt for _, prompt in seen), partial(self._voted, kind, views))

    def _voted(self, kind: Kind, views: Sequence[View], texts: Sequence[str]) -> tuple[str, ...]:
        """The guesses in what was written to each view; where none can be read, what was written first."""
        ballots = [
            (view, view.undone(value))
            for view, text in zip(views, texts, strict=True)
            if (value := self._wording.read(kind, text)) is not None
        ]
        ranked = official_vote(ballots) if self._has_official_vote else most_common([value for _, value in ballots])
        return tuple(map(kind.write, ranked[: self._guesses])) or (texts[0].strip(),)

    def _seen(self, task: Task, probe: Probe) -> list[tuple[View, tuple[int, ...]]]:
        """The views of a probe with their prompts; where all would be too long, those that show one pair less."""
        kind, pairs = demonstrations_of(task)
        seen: list[tuple[View, tuple[int, ...]]] = []
        for hidden in (1, 2):
            views = self._views(pairs, input_of(probe), hidden)
            seen += [(view, self.prompt(kind, view.demonstrations, view.asked)) for view in views]
            if fitting := [(view, prompt) for view, prompt in seen if self._fits(prompt)]:
                return fitting
        return seen

    def answer(self, text: str) -> tuple[int, ...]:
        """Of a text; `gold` and `written` know of grids, too."""
        return self._prompter.encode(text)

    def written(self, kind: Kind, value: Value) -> tuple[int, ...]:
        """The tokens of an output."""
        return self._wording.output(kind, value)

    def gold(self, task: Task, probe: Probe) -> tuple[int, ...]:
        kind, _ = demonstrations_of(task)
        return self.written(kind, kind.read(probe.answers[0]) or probe.answers[0])

    def clean(self, task: Task, text: str) -> str:
        """A value is brought into the form that gold answers have."""
        kind, _ = demonstrations_of(task)
        value = self._wording.read(kind, text)
        return kind.write(value) if value is not None else text.strip()


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
