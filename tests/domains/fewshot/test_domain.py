"""From a self-edit to training sequences, and from a task to its prompts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from selfedit.domains.fewshot.choices import FIXED, write
from selfedit.domains.fewshot.domain import FewshotDomain, counted_steps
from selfedit.domains.fewshot.problem import Problem, make_task
from selfedit.domains.fewshot.values import KINDS
from selfedit.models.prompt import Prompter
from selfedit.types import Demonstration, Hyperparameters, SelfEdit, Task
from tests.tiny import make_tiny_tokenizer

END = 2
GRIDS = KINDS["grid"]
PAIRS = [Demonstration(((i, 0), (0, 0)), ((0, i), (0, 0))) for i in (1, 2, 3)]


@pytest.fixture(scope="module")
def prompter() -> Prompter:
    return Prompter(make_tiny_tokenizer(vocab=400), chat=True)


@pytest.fixture
def task() -> Task:
    return make_task("t", "t", GRIDS, PAIRS, [(((4, 0), (0, 0)), ((0, 4), (0, 0)))])


def said(prompter: Prompter, tokens: Sequence[int]) -> str:
    return str(prompter.tokenizer.decode(list(tokens), skip_special_tokens=True))


def edit(**training: Any) -> SelfEdit:
    raw = json.loads(write(FIXED["grid"]))
    raw["training"] |= training
    return SelfEdit("t.e0", "t", "settings", "", json.dumps(raw), 0)


def test_the_prompt_shows_the_demonstrations_and_asks(prompter: Prompter, task: Task) -> None:
    domain = FewshotDomain(prompter, END)
    text = said(prompter, domain.question(task, task.probes[0]))
    assert text.startswith("Input:\n10\n00\nOutput:\n01\n00\n\nInput:\n20\n")
    assert text.endswith("\n\nInput:\n40\n00\nOutput:\n")
    assert domain.question(task, task.probes[0], with_context=True) == domain.question(task, task.probes[0])


def test_masks_cover_exactly_the_output(prompter: Prompter) -> None:
    domain = FewshotDomain(prompter, END)
    problem = Problem(tuple(PAIRS[:2]), PAIRS[2])
    example = domain.example(GRIDS, problem, only_output=True)
    labelled = [token for token, bears in zip(example.tokens, example.weights, strict=True) if bears]
    assert labelled[-1] == END
    assert said(prompter, labelled[:-1]) == "03\n00"
    assert example.tokens[: -len(labelled)] == domain.prompt(GRIDS, problem.demonstrations, problem.query.input)
    assert all(domain.example(GRIDS, problem, only_output=False).weights)


def test_cells_are_kept_apart_where_the_tokenizer_would_join_them(prompter: Prompter, task: Task) -> None:
    class Joining(Prompter):
        def encode(self, text: str) -> tuple[int, ...]:
            return super().encode(text.replace("00", "0"))

    domain = FewshotDomain(Joining(prompter.tokenizer, chat=True), END)
    text = said(prompter, domain.question(task, task.probes[0]))
    assert text.endswith("Input:\n4 0\n0 0\nOutput:\n")
    assert said(prompter, domain.gold(task, task.probes[0])) == "0 4\n0 0"
    assert domain.clean(task, " 0 4\n0 0\n") == "04\n00"
    years = make_task("y", "y", KINDS["text"], [Demonstration("one", "2001")], [("ten", "20 10")])
    assert said(prompter, domain.gold(years, years.probes[0])) == "20 10"
    assert domain.clean(years, "20 10 ") == "20 10"


def test_the_recipe_is_what_the_edit_asks_for(prompter: Prompter, task: Task) -> None:
    domain = FewshotDomain(prompter, END)
    given = Hyperparameters(batch_size=2, schedule="cosine")
    recipe = domain.recipe(task, edit(learning_rate=3e-4, num_train_epochs=3), given, seed=1)
    assert (recipe.hyperparameters.learning_rate, recipe.hyperparameters.epochs) == (3e-4, 3)
    assert (recipe.hyperparameters.batch_size, recipe.hyperparameters.schedule) == (2, "cosine")
    assert recipe == domain.recipe(task, edit(learning_rate=3e-4, num_train_epochs=3), given, seed=1)
    assert recipe.examples != domain.recipe(task, edit(), given, seed=2).examples
    fixed = SelfEdit("p", "t", "none", "", "", 0)
    assert domain.recipe(task, fixed, given, 1).examples == domain.recipe(task, edit(), given, 1).examples


def test_bounds(prompter: Prompter, task: Task) -> None:
    given = Hyperparameters(batch_size=2)
    few = FewshotDomain(prompter, END, max_examples=7).recipe(task, edit(), given, 0)
    assert len(few.examples) == 7
    tokens = 2 * sum(len(example.tokens) for example in few.examples[:4])
    bounded = FewshotDomain(prompter, END, max_tokens=tokens).recipe(task, edit(), given, 0)
    assert len(bounded.examples) >= 1
    assert bounded.tokens_per_epoch * bounded.hyperparameters.epochs <= tokens
    assert len(FewshotDomain(prompter, END, max_tokens=1).recipe(task, edit(), given, 0).examples) == 1
    with pytest.raises(ValueError, match=r"it takes 40 steps, and 39 are allowed"):
        FewshotDomain(prompter, END, max_examples=8, max_steps=39).recipe(task, edit(num_train_epochs=10), given, 0)
    FewshotDomain(prompter, END, max_examples=8, max_steps=40).recipe(task, edit(num_train_epochs=10), given, 0)


def test_an_edit_that_does_not_parse_is_unusable_and_says_why(prompter: Prompter, task: Task) -> None:
    domain = FewshotDomain(prompter, END)
    words = SelfEdit("t.e0", "t", "settings", "", "Use all of them.", 0)
    assert not domain.is_usable(task, words, Hyperparameters())
    assert domain.is_usable(task, edit(), Hyperparameters())
    with pytest.raises(ValueError, match="invalid JSON"):
        domain.recipe(task, words, Hyperparameters(), 0)


def test_a_usable_edit_has_a_recipe(prompter: Prompter, task: Task) -> None:
    """One that takes more steps than are allowed has none, and is sampled again."""
    domain, long = FewshotDomain(prompter, END, max_steps=3), edit()
    with pytest.raises(ValueError, match="steps, and 3 are allowed"):
        domain.recipe(task, long, Hyperparameters(), 0)
    assert not domain.is_usable(task, long, Hyperparameters())


def test_steps_are_counted_as_the_papers_code_does() -> None:
    """Rounded down over all epochs: some whose epochs end with an odd example were refused."""
    training = Hyperparameters(batch_size=2)
    counts = [
        (n, e) for n in range(1, 251) for e in range(1, 11) if counted_steps(n, replace(training, epochs=e)) <= 375
    ]
    wrongly_refused = [(n, e) for n, e in counts if e * -(-n // 2) > 375]
    assert (75, 10) in wrongly_refused
    assert all(n % 2 for n, _ in wrongly_refused)
    assert all(e * n // 2 <= 375 for n, e in counts)
    assert (76, 10) not in counts
