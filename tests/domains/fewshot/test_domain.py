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
from selfedit.errors import UserError
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


def test_chat_shows_arrays_and_ends_its_turn(prompter: Prompter, task: Task) -> None:
    domain = FewshotDomain(prompter, END + 1, prompt="chat")
    text = str(prompter.tokenizer.decode(list(domain.question(task, task.probes[0]))))
    assert text.startswith("<|im_start|>system\n")
    assert "\n[[1 0]\n [0 0]] -> [[0 1]\n [0 0]]#\n[[2 0]\n" in text
    assert text.endswith("<|im_start|>user\n[[4 0]\n [0 0]] -> <|im_end|>\n<|im_start|>assistant\n")
    assert said(prompter, domain.gold(task, task.probes[0])) == "[[0 4]\n [0 0]]#"
    example = domain.example(GRIDS, Problem(tuple(PAIRS[:2]), PAIRS[2]), only_output=True)
    assert example.tokens[-1] == prompter.tokenizer.eos_token_id
    for written in ("[[0 4]\n [0 0]]#", "Here:\n```\n0 4\n0 0\n```", "[[0 4 0]\n [0]]"):
        assert domain.clean(task, written) == "04\n00"  # The last as there: numbers fill the lines that there are.
    for written in ("[[0 4] [0 0]] and more", "[[0, 4],\n [0, 0]]", "[[0 4]\n [0]]", "[[04]\n [12]]", "[]"):
        assert domain.clean(task, written) == written
    words = make_task("y", "y", KINDS["text"], [Demonstration("one #1", "2001")], [("ten", "#10")])
    assert domain.clean(words, said(prompter, domain.gold(words, words.probes[0]))) == "#10"
    for other in (Prompter(prompter.tokenizer, chat=False), Prompter(_without_system(), chat=True)):
        with pytest.raises(UserError, match="takes no system message"):
            FewshotDomain(other, END, prompt="chat")


def _without_system() -> Any:
    tokenizer = make_tiny_tokenizer(vocab=400)
    tokenizer.chat_template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
    return tokenizer


def test_the_official_problems_are_cut_and_bounded(prompter: Prompter, task: Task) -> None:
    given = Hyperparameters(batch_size=2)
    fixed = SelfEdit("p", "t", "none", "", "", 0)
    official = FewshotDomain(prompter, END, problems="official", fixed="oracle")
    recipe = official.recipe(task, fixed, given, 0)
    assert (recipe.hyperparameters.learning_rate, recipe.hyperparameters.epochs) == (1e-4, 2)
    assert len(recipe.examples) == 250
    lengths = sorted(len(example.tokens) for example in recipe.examples)
    bound = lengths[125]
    shorter = FewshotDomain(prompter, END, problems="official", fixed="oracle", max_problem_tokens=bound)
    assert max(len(example.tokens) for example in shorter.recipe(task, fixed, given, 0).examples) < bound
    with pytest.raises(ValueError, match="none of its problems has fewer than 3 tokens"):
        FewshotDomain(prompter, END, max_problem_tokens=3).recipe(task, fixed, given, 0)


def test_views_that_are_too_long_are_left_out(prompter: Prompter, task: Task) -> None:
    probe = task.probes[0]
    domain = FewshotDomain(prompter, END, views="leave-one-out", guesses=2)
    lengths = sorted(map(len, domain.inquiry(task, probe).prompts))
    cut = FewshotDomain(prompter, END, views="leave-one-out", max_problem_tokens=lengths[-1])
    assert all(len(prompt) < lengths[-1] for prompt in cut.inquiry(task, probe).prompts)
    less = FewshotDomain(prompter, END, views="leave-one-out", max_problem_tokens=lengths[0])
    assert max(map(len, less.inquiry(task, probe).prompts)) < lengths[0]
    texts = ["04\n00"] * 4 + ["x"] * (len(lengths) - 4)
    assert domain.inquiry(task, probe).guesses(texts) == ("04\n00",)
    assert domain.inquiry(task, probe).guesses(["x"] * len(lengths)) == ("x",)
    assert len(domain.cheaply(0).inquiry(task, probe).prompts) == 1


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


def test_an_open_edit_is_held_to_no_range(prompter: Prompter, task: Task) -> None:
    domain = FewshotDomain(prompter, END, max_examples=8)
    bold = replace(edit(learning_rate=0.5, num_train_epochs=40, momentum=0.9), format="settings-open")
    hyperparameters = domain.recipe(task, bold, Hyperparameters(batch_size=2), 0).hyperparameters
    assert (hyperparameters.learning_rate, hyperparameters.epochs) == (0.5, 40)
    assert [lesson.text for lesson in domain.lessons(task, bold)][-1] == "epochs: 40"
    assert domain.is_readable(task, replace(bold, text="[1]")) and not domain.is_readable(task, replace(bold, text="{"))
    for training in ({"learning_rate": 0}, {"num_train_epochs": 0}, {"strategy": "other"}, {"learning_rate": "1e-4"}):
        with pytest.raises(ValueError, match=f"training.{next(iter(training))}"):
            domain.recipe(task, replace(edit(**training), format="settings-open"), Hyperparameters(), 0)
    with pytest.raises(ValueError, match="training: field required"):
        domain.recipe(task, replace(bold, text="{}"), Hyperparameters(), 0)
    with pytest.raises(ValueError, match="invalid JSON"):
        domain.recipe(task, replace(bold, text="Sure!"), Hyperparameters(), 0)
    request = domain.formats["settings-open"].prompt(task)
    assert request.startswith("Input:\n1 0\n0 0\n\nOutput:\n0 1\n") and "0.01" not in request and "10)" not in request


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
