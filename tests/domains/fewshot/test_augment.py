"""Augmentations: undone they leave any grid as it was, and nothing leaves the bounds."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfedit.domains.fewshot import augment
from selfedit.domains.fewshot.augment import Augmentation
from selfedit.domains.fewshot.choices import GridChoices, GridGeneration, TextChoices, TextGeneration, Training
from selfedit.domains.fewshot.problem import Problem, leave_out
from selfedit.domains.fewshot.training_problems import training_problems
from selfedit.domains.fewshot.values import KINDS, LARGEST
from selfedit.types import Demonstration, Grid

TRAINING = Training(strategy="train_using_output_tokens", learning_rate=1e-3, num_train_epochs=2)
FIXED_ONES = (*augment.RIGID, *augment.group("basic", random.Random(0)), *augment.SIZE, *augment.REPEAT, *augment.CHAIN)


@st.composite
def grids(draw: st.DrawFn, largest: int = 8) -> Grid:
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    row = st.tuples(*[st.integers(0, 9)] * width)
    return tuple(draw(row) for _ in range(height))


def pairs_of(count: int) -> st.SearchStrategy[tuple[Demonstration, ...]]:
    return st.lists(st.builds(Demonstration, grids(), grids()), min_size=count, max_size=count, unique=True).map(tuple)


def choices(*groups: str) -> GridChoices:
    names = {f"use_{name}_augmentations": name in groups for name in ("basic", "size", "chain", "repeat")}
    return GridChoices(data_generation=GridGeneration(**names), training=TRAINING)


@pytest.mark.parametrize("augmentation", FIXED_ONES, ids=lambda augmentation: augmentation.name)
@given(grid=grids())
@settings(max_examples=25, deadline=None)
def test_undone_it_is_the_identity(augmentation: Augmentation, grid: Grid) -> None:
    assert augmentation.inverse(augmentation.forward(grid)) == grid


@given(grid=grids(), seed=st.integers(0, 100), down=st.integers(-20, 20), right=st.integers(-20, 20))
@settings(deadline=None)
def test_random_ones_can_be_undone(grid: Grid, seed: int, down: int, right: int) -> None:
    for made in (augment.recolouring(random.Random(seed)), augment.translation(down, right)):
        assert made.inverse(made.forward(grid)) == grid
        assert {cell for row in made.forward(grid) for cell in row} <= set(range(10))


def test_every_augmentation_of_a_group_is_different() -> None:
    grid = ((1, 2, 3), (4, 5, 6))
    images = [augmentation.forward(grid) for augmentation in (*augment.RIGID, *augment.SIZE, *augment.REPEAT)]
    assert len(set(images)) == len(images)
    assert augment.RIGID[0].forward(grid) == ((4, 1), (5, 2), (6, 3))


@given(pairs=pairs_of(3), seed=st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_training_problems_stay_in_bounds_and_are_the_same_for_a_seed(
    pairs: tuple[Demonstration, ...], seed: int
) -> None:
    kind, all_groups = KINDS["grid"], choices("basic", "size", "chain", "repeat")
    made = training_problems(kind, pairs, all_groups, seed)
    assert made == training_problems(kind, pairs, all_groups, seed)
    assert len(set(made)) == len(made)
    for problem in made:
        for pair in (*problem.demonstrations, problem.query):
            for grid in (pair.input, pair.output):
                kind.check(grid)  # ragged, too large, or other colours would raise


def test_a_grid_that_would_grow_over_the_bound_is_left_out() -> None:
    large: Grid = ((1,) * 16,) * 16
    problem = Problem((), Demonstration(large, ((1,),)))
    assert all(augmentation.apply(problem) is None for augmentation in augment.SIZE)
    assert augment.RIGID[0].apply(problem) is not None
    made = training_problems(
        KINDS["grid"], (Demonstration(large, large), Demonstration(((2,),), large)), choices("size"), 0
    )
    assert all(len(problem.query.output) <= LARGEST for problem in made)


@given(pairs=pairs_of(4), count=st.integers(1, 2))
@settings(max_examples=30, deadline=None)
def test_a_problem_never_shows_the_pair_it_asks_for(pairs: tuple[Demonstration, ...], count: int) -> None:
    made = leave_out(pairs, count)
    assert len(made) == (4 if count == 1 else 12)
    for problem in made:
        assert problem.query not in problem.demonstrations
        assert len(problem.demonstrations) == 4 - count


def test_what_cannot_be_left_out() -> None:
    pair = Demonstration(((1,),), ((2,),))
    assert leave_out((pair,), 1) == [Problem((), pair)]
    assert leave_out((pair,), 2) == []
    assert leave_out((pair, Demonstration(((3,),), ((4,),))), 2) == []


def test_without_groups_there_are_the_plain_problems_and_recoloured_ones() -> None:
    pairs = tuple(Demonstration(((i, 0),), ((0, i),)) for i in (1, 2, 3))
    plain = training_problems(KINDS["grid"], pairs, choices(), 0)
    assert {*leave_out(pairs, 1), *leave_out(pairs, 2)} <= set(plain)
    assert len(training_problems(KINDS["grid"], pairs, choices("basic"), 0)) > len(plain)


TEXTS = tuple(Demonstration(f"in {i}", f"out {i}") for i in range(4))


def text_choices(paraphrases: tuple[tuple[int, str], ...] = (), **flags: bool) -> TextChoices:
    names = ("use_order_permutations", "use_leave_one_out", "use_leave_two_out")
    generation = {name: flags.get(name, False) for name in names}
    said = [{"demonstration": number, "input": text} for number, text in paraphrases]
    data = TextGeneration.model_validate(generation | {"paraphrases": said})
    return TextChoices(data_generation=data, training=TRAINING)


def test_texts_are_trained_on_as_the_edit_says() -> None:
    kind = KINDS["text"]
    assert training_problems(kind, TEXTS, text_choices(), 0) == [Problem((), pair) for pair in TEXTS]
    one = training_problems(kind, TEXTS, text_choices(use_leave_one_out=True), 0)
    assert one == leave_out(TEXTS, 1)
    both = training_problems(kind, TEXTS, text_choices(use_leave_one_out=True, use_leave_two_out=True), 0)
    assert both == [*leave_out(TEXTS, 1), *leave_out(TEXTS, 2)]
    reordered = training_problems(kind, TEXTS, text_choices(use_leave_one_out=True, use_order_permutations=True), 0)
    assert reordered[:4] == one
    assert all(set(p.demonstrations) | {p.query} == set(TEXTS) for p in reordered)


def test_a_paraphrase_keeps_the_output_and_never_stands_beside_it() -> None:
    said = text_choices(((2, "put differently"),), use_leave_one_out=True)
    last = training_problems(KINDS["text"], TEXTS, said, 0)[-1]
    assert last == Problem((TEXTS[0], TEXTS[2], TEXTS[3]), Demonstration("put differently", "out 1"))
    with pytest.raises(ValueError, match="demonstration 9 of 4"):
        training_problems(KINDS["text"], TEXTS, text_choices(((9, "none"),)), 0)
