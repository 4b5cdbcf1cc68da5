"""Solving, with a tiny model that is really trained: a task it cannot do but by training, and the choice of an edit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from selfedit.domains.fewshot.choices import FIXED, choices_of, without_paraphrases, write
from selfedit.domains.fewshot.domain import FewshotDomain
from selfedit.domains.fewshot.problem import demonstrations_of, make_task
from selfedit.domains.fewshot.values import KINDS
from selfedit.errors import UserError
from selfedit.generate.base import Completion
from selfedit.generate.batched import BatchedGenerator
from selfedit.graders.exact import ExactGrader
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.models.prompt import Prompter
from selfedit.policies.base import OnEdit, Policy
from selfedit.policies.model import ModelPolicy
from selfedit.progress import QuietProgress
from selfedit.rewards import make_reward
from selfedit.search.evaluator import Evaluator
from selfedit.search.stages import Stages
from selfedit.solve.leave_one_out import is_fixed, leave_one_out, left_out_right
from selfedit.solve.run import Solver, check_window, is_solved
from selfedit.types import Demonstration, Hyperparameters, LoraSpec, Model, SelfEdit, Task
from tests.engine import BARE, load_tiny
from tests.tiny import make_tiny_tokenizer

GRIDS = KINDS["grid"]
PAIRS = [Demonstration(((i,),), ((5,),)) for i in range(4)]


class Written(Policy):
    """Proposes the given texts."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts

    def propose(
        self, tasks: Sequence[Task], edits: int, seed: int, model: Model, on_edit: OnEdit | None = None
    ) -> list[SelfEdit]:
        written = [
            SelfEdit(f"{task.id}.e{i}", task.id, "settings", "", text, i)
            for task in tasks
            for i, text in enumerate(self._texts[:edits])
        ]
        for edit in written if on_edit is not None else ():
            on_edit(edit)  # type: ignore[misc]
        return written


def with_rate(rate: float, epochs: int = 10) -> str:
    training = FIXED["grid"].training.model_copy(update={"learning_rate": rate, "num_train_epochs": epochs})
    return write(FIXED["grid"].model_copy(update={"training": training}))


def trained_together(solver: Solver) -> list[int]:
    """How many adapters each training has, filled as it goes."""
    calls: list[int] = []
    inner = solver._stages.inner
    real = inner.adapt

    def spy(recipes: Any, *rest: Any, **named: Any) -> Any:
        calls.append(len(recipes))
        return real(recipes, *rest, **named)

    inner.adapt = spy  # type: ignore[method-assign]
    return calls


@pytest.fixture(scope="module")
def make_solver(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Solver]:
    model: Any = load_tiny(tmp_path_factory.mktemp("tiny"))
    # Fresh random weights are so small that no logit could stand out, and the row of the token that pads is zero.
    torch.manual_seed(0)
    head = model.get_output_embeddings().weight
    head.data.copy_(0.5 * torch.randn(head.shape))
    tokenizer = make_tiny_tokenizer(vocab=model.config.vocab_size)
    end = tokenizer.eos_token_id
    generator = BatchedGenerator(model, tokenizer, frozenset({end}))
    prompter = Prompter(tokenizer, chat=True)
    hyperparameters = Hyperparameters(lora=LoraSpec(rank=8, alpha=64), batch_size=1)

    def make(*texts: str, vote: bool = False, examples: int = 6) -> Solver:
        domain = FewshotDomain(prompter, end, max_examples=examples, views="rigid" if vote else "once")
        stages = Stages(
            prompter,
            generator,
            BatchedInnerLoop(model, 4, 400),
            domain,
            Written(*texts),
            ModelPolicy(generator, prompter, domain.formats["settings"], (end,)),
            Evaluator(generator, domain, ExactGrader()),
            make_reward("accuracy"),
            Evaluator(generator, domain, ExactGrader()),
        )
        return Solver(stages, domain, BARE, QuietProgress(), hyperparameters)

    return make


@pytest.fixture
def task() -> Task:
    return make_task("t", "t", GRIDS, PAIRS, [(((7,),), ((5,),))])


def test_trained_it_predicts_what_it_could_not(make_solver: Callable[..., Solver], task: Task) -> None:
    solver = make_solver(with_rate(1e-2))
    assert not is_solved(task, solver.predict(task))
    solution = solver.solve(task, 1, 0, fixed=False)
    assert solution.predictions == ("5",)
    assert (solution.solved, solution.right) == (True, (True,))
    assert solution.losses[-1] < solution.losses[0]
    assert solution.rollouts[0].trials == ()


def test_the_edit_is_chosen_by_the_demonstrations(make_solver: Callable[..., Solver], task: Task) -> None:
    texts = ("nothing", with_rate(1e-6, 1), with_rate(1e-2))
    solution = make_solver(*texts).solve(task, 3, 0, fixed=False)
    assert solution.rollouts[0].failure is not None
    assert list(map(left_out_right, solution.rollouts)) == [0, 0, 3]
    assert solution.chosen == 2
    unknown = make_task("t", "t", GRIDS, PAIRS, [(((7,),), None)])
    blind = make_solver(*texts).solve(unknown, 3, 0, fixed=False)
    assert blind.rollouts == solution.rollouts
    assert blind.predictions == solution.predictions
    assert (blind.solved, blind.right) == (None, (None,))


def test_without_a_usable_edit_nothing_is_predicted(make_solver: Callable[..., Solver], task: Task) -> None:
    solution = make_solver("no", "still no").solve(task, 2, 0, fixed=False)
    assert (solution.chosen, solution.predictions, solution.solved, solution.right) == (None, (), None, ())
    assert all(rollout.failure for rollout in solution.rollouts)


def test_the_better_of_own_edit_and_fixed_recipe_is_taken(make_solver: Callable[..., Solver], task: Task) -> None:
    """Both are left out and asked in the same passes. The fixed recipe, at 0.001, learns too little in 8 steps."""
    solver = make_solver(with_rate(1e-2), examples=4)
    calls = trained_together(solver)
    solution = solver.solve(task, 1, 0)
    assert [is_fixed(rollout) for rollout in solution.rollouts] == [True, False]
    fixed, own = map(left_out_right, solution.rollouts)
    assert fixed < own == 3
    assert calls == [6, 1]
    assert solution.choice is not None
    assert solution.choice.place == 1
    assert "3 of 3 left-out demonstrations are right" in solution.choice.why
    assert f"by the fixed recipe {fixed} of 3" in solution.choice.why
    assert solution.predictions == ("5",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nothing", "the model's own is not used, since the edit: invalid JSON"),
        (with_rate(1e-6, 10), r"it would train next to nothing: \d+ steps at 1e-06 come to 0\.\d% of what the fixed"),
        (write(FIXED["grid"]), "the model's own is not used, since it is the fixed recipe"),
    ],
)
def test_nothing_is_spent_on_an_edit_that_can_win_nothing(
    make_solver: Callable[..., Solver], task: Task, text: str, why: str
) -> None:
    solver = make_solver(text)
    calls = trained_together(solver)
    solution = solver.solve(task, 1, 0)
    assert calls == [1]
    assert solution.choice is not None
    assert solution.choice.place == 0
    assert re.search(why, solution.choice.why)
    assert solution.rollouts[0].trials == ()
    assert solution.rollouts[1].failure is not None
    # What is taken is what the fixed recipe alone comes to.
    alone = make_solver(text).solve(task, 0, 0)
    assert (alone.predictions, alone.losses) == (solution.predictions, solution.losses)


def test_a_single_demonstration_is_trained_on_by_the_fixed_recipe(make_solver: Callable[..., Solver]) -> None:
    task = make_task("t", "t", GRIDS, PAIRS[:1], [(((7,),), None)])
    solution = make_solver(with_rate(1e-2)).solve(task, 2, 0)
    assert [is_fixed(rollout) for rollout in solution.rollouts] == [True]
    assert make_solver(with_rate(1e-2)).solve(task, 1, 0, fixed=False).chosen == 0


def test_what_is_compared_trains_on_fewer_tokens(make_solver: Callable[..., Solver], task: Task) -> None:
    solver = make_solver(with_rate(1e-2))
    solver._compare_tokens = 100
    solution = solver.solve(task, 1, 0)
    compared = [len(trial.losses) for rollout in solution.rollouts for trial in rollout.trials]
    assert len(compared) == 6
    assert max(compared) < len(solution.losses)


def test_views_are_turned_back_before_they_vote(make_solver: Callable[..., Solver], task: Task) -> None:
    """Eight looks at the task, one answer."""
    solver = make_solver(with_rate(1e-2), vote=True)
    seen: list[Any] = []
    real = solver._stages.generator.generate

    def spy(requests: Any, *rest: Any) -> Any:
        seen.append(list(requests))
        return real(requests, *rest)

    solver._stages.generator.generate = spy  # type: ignore[method-assign,assignment]
    try:
        predictions = solver.solve(task, 1, 0, fixed=False).predictions
    finally:
        del solver._stages.generator.generate
    assert len(seen[-1]) == 8
    assert predictions == ("5",)


def test_views_that_say_nothing_readable_do_not_vote(make_solver: Callable[..., Solver], task: Task) -> None:
    solver = make_solver(with_rate(1e-2), vote=True)
    said = iter(["", "", "", "5", "6", "6", "x", ""])
    real = solver._stages.generator.generate
    solver._stages.generator.generate = lambda requests, *_: [  # type: ignore[method-assign]
        Completion(next(said), (), (), "stop") for _ in requests
    ]
    try:
        assert solver.predict(task) == (("6",),)
    finally:
        solver._stages.generator.generate = real  # type: ignore[method-assign]


def test_paraphrases_are_left_out_where_demonstrations_are() -> None:
    chosen = FIXED["text"].model_dump()
    chosen["data_generation"]["paraphrases"] = [{"demonstration": 2, "input": "the number two"}]
    edit = SelfEdit("e", "t", "settings", "", json.dumps(chosen), 0)
    pairs = [Demonstration(word, str(number)) for number, word in enumerate(("one", "two", "three", "four"), 1)]
    task = make_task("t", "t", KINDS["text"], pairs, [("five", None)])
    assert [p.demonstration for p in choices_of(task, edit).paraphrases] == [2]
    for fold in leave_one_out(task):
        assert choices_of(fold, without_paraphrases(edit)).paraphrases == ()
    assert choices_of(task, without_paraphrases(edit)).groups == choices_of(task, edit).groups


def test_folds_show_all_but_what_they_ask(task: Task) -> None:
    folds = leave_one_out(task)
    assert [fold.probes[0].answers for fold in folds] == [("5",)] * 3
    assert [fold.probes[0].input for fold in folds] == [((0,),), ((1,),), ((2,),)]
    for fold in folds:
        _, shown = demonstrations_of(fold)
        assert [pair.input for pair in shown] == [pair.input for pair in PAIRS if pair.input != fold.probes[0].input]
    assert leave_one_out(make_task("t", "t", GRIDS, PAIRS[:1], [(((7,),), None)])) == []


def test_a_task_too_long_for_the_window(task: Task, tmp_path: Path) -> None:
    domain = FewshotDomain(Prompter(make_tiny_tokenizer(vocab=400), chat=True), 2)
    check_window(domain, task, 4096)
    with pytest.raises(UserError, match=r"Task t takes \d+ tokens with its demonstrations.* window is 20"):
        check_window(domain, task, 20)
