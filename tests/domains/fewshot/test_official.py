"""What follows the paper's official code: its training problems, its views and its vote."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from hashlib import sha256
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from selfedit.domains.fewshot import augment
from selfedit.domains.fewshot.official_problems import augmented, official_problems
from selfedit.domains.fewshot.problem import Problem, demonstrations_of
from selfedit.domains.fewshot.read import arc_task
from selfedit.domains.fewshot.views import VIEWS, View, most_common, official_vote
from selfedit.domains.fewshot.wording import printed
from selfedit.types import Demonstration, Grid

GROUPS = ("basic", "size", "chain", "repeat")
# How it was derived stands in it.
EXPECTED: dict[str, Any] = json.loads((Path(__file__).parent / "official_problems.json").read_text())
TASKS = sorted(EXPECTED.keys() - {"derived"})


def text_of(problem: Problem) -> str:
    lines = [f"{printed(pair.input)} -> {printed(pair.output)}#" for pair in (*problem.demonstrations, problem.query)]
    return "\n".join(lines)


def without_names(problem: Problem) -> str:
    """The text with colours numbered as they come, in the order of demonstrations that makes it the least."""

    def numbered(shown: Sequence[Demonstration]) -> str:
        pairs = (problem.query, *shown)
        cells = [cell for pair in pairs for grid in (pair.input, pair.output) for row in grid for cell in row]
        number: dict[Any, int] = {0: 0}
        for cell in cells:
            number.setdefault(cell, len(number))
        query, *rest = (
            Demonstration(*(tuple(tuple(number[c] for c in row) for row in grid) for grid in (p.input, p.output)))
            for p in pairs
        )
        return text_of(Problem(tuple(rest), query))

    return min(map(numbered, permutations(problem.demonstrations)))


def hash_of(texts: Sequence[str]) -> str:
    return sha256("\0".join(sorted(texts)).encode()).hexdigest()


@pytest.mark.parametrize("id", TASKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_problems_are_those_of_the_official_code(id: str, seed: int) -> None:
    _, pairs = demonstrations_of(arc_task(id))
    made = official_problems(pairs, GROUPS, seed)
    assert made == official_problems(pairs, GROUPS, seed)
    shown_of = {len(pairs) - int(count): expected for count, expected in EXPECTED[id].items()}
    assert len(made) == sum(expected["all"] for expected in shown_of.values())
    for shown, expected in shown_of.items():
        unchanged = augmented(pairs, GROUPS, len(pairs) - shown)
        assert len(unchanged) == expected["unchanged"]
        assert hash_of(list(map(text_of, unchanged))) == expected["unchanged_sha256"]
        of_count = [problem for problem in made if len(problem.demonstrations) == shown]
        assert len(of_count) == expected["all"]
        assert hash_of(list({without_names(problem) for problem in of_count})) == expected["all_sha256"]


def test_the_groups_have_the_official_sizes() -> None:
    assert {name: len(group) for name, group in augment.OFFICIAL.items()} == {
        "basic": 11,
        "size": 3,
        "chain": 6,
        "repeat": 3,
    }


def test_the_official_code_moves_inputs_and_outputs_by_different_steps() -> None:
    grid: Grid = tuple(tuple(range(i, i + 5)) for i in range(5))
    move = augment.OFFICIAL["basic"][-1]
    moved = move(Problem((Demonstration(grid, grid),), Demonstration(grid, grid)))
    assert moved is not None
    assert moved.demonstrations == (moved.query,)
    assert moved.query.input != moved.query.output


def test_without_groups_nothing_is_recoloured() -> None:
    pairs = tuple(Demonstration(((i, 0),), ((0, i),)) for i in (1, 2, 3))
    made = official_problems(pairs, (), 0)
    assert {pair for problem in made for pair in (*problem.demonstrations, problem.query)} == set(pairs)


def test_with_more_colours_than_are_free_some_change_places() -> None:
    """In their order colours take free ones; the rest change places, or stay (few-shot/arclib/augmenters.py, 146)."""
    grid: Grid = (tuple(range(10)),)
    for seed in range(50):
        used = {1, 3, 4, 6, 7, 9}
        made = augment.recolouring(random.Random(seed), used)
        (new,) = made.forward(grid)
        assert sorted(new) == list(range(10)) and made.inverse(made.forward(grid)) == grid and new[0] == 0
        taken = {colour for colour in used if new[colour] not in used}
        assert all(new[new[colour]] == colour for colour in used - taken)
        assert taken <= {1, 3, 4} and {1, 3, 4} - taken <= {new[colour] for colour in (6, 7, 9)}
        few = augment.recolouring(random.Random(seed), {2, 5}).forward(((2, 5),))
        assert not {2, 5} & set(few[0])


def test_what_looks_the_same_is_asked_once() -> None:
    """Half a turn and a flip of what is symmetric are one view."""
    same: Grid = ((1, 2, 1), (0, 0, 0))
    views = VIEWS["leave-one-out"]((Demonstration(same, same),), same, 0)
    assert len(views) == len({(view.demonstrations, view.asked) for view in views})
    names = [view.through.name for view in views]
    assert "turned around" not in names and "upside down" in names and "left to right" not in names


def test_a_bound_takes_a_fair_draw() -> None:
    """Ours keeps the unchanged problems; there they are as likely as others to be left out."""
    _, pairs = demonstrations_of(arc_task("8be77c9e"))
    plain = {*augmented(pairs, (), 1), *augmented(pairs, (), 2)}
    kept = [len(plain & set(official_problems(pairs, GROUPS, seed)[:50])) for seed in range(20)]
    assert 0 < sum(kept) < 20 * len(plain) / 2


PAIRS = tuple(Demonstration(((i, 0, 0), (0, i, i)), ((0, i), (i, i))) for i in (1, 2, 3, 4))
ASKED: Grid = ((5, 0, 0), (0, 5, 5))


def test_views_leave_one_out_in_three_orders_and_five_ways() -> None:
    views = VIEWS["leave-one-out"](PAIRS, ASKED, 1)
    plain = [view for view in views if view.through is augment.IDENTITY]
    assert {len(view.demonstrations) for view in views} == {3}
    assert len(set(plain)) == len(plain) <= 12
    assert {frozenset(view.demonstrations) for view in plain} == {frozenset(PAIRS) - {pair} for pair in PAIRS}
    assert [view.through.name for view in views[len(plain) :]] == [
        "transposed",
        "upside down",
        "left to right",
        "turned left",
        "turned around",
    ]
    assert all(view.undone(view.asked) == ASKED for view in views)
    same = tuple(Demonstration(((i, 0), (0, i)), ((i,),)) for i in (1, 2, 3))
    assert len(VIEWS["leave-one-out"](same, ((4, 0), (0, 4)), 1)) < len(VIEWS["leave-one-out"](PAIRS[:3], ASKED, 1))
    assert views == VIEWS["leave-one-out"](PAIRS, ASKED, 1)
    assert {len(view.demonstrations) for view in VIEWS["leave-one-out"](PAIRS, ASKED, 2)} == {2}
    one = VIEWS["leave-one-out"](PAIRS[:1], ASKED, 1)
    assert one[0] == View((), ASKED)


def test_texts_are_seen_in_other_orders_alone() -> None:
    pairs = tuple(Demonstration(f"in {i}", f"out {i}") for i in range(4))
    views = VIEWS["leave-one-out"](pairs, "in 9", 1)
    assert all(view.through is augment.IDENTITY and view.asked == "in 9" for view in views)
    assert VIEWS["rigid"](pairs, "in 9", 1) == [View(pairs, "in 9")]


def test_the_vote() -> None:
    a, b, c = ((1,),), ((2,),), ((3,),)
    plain = View((), a)
    turned = plain.seen(augment.TURNED_AROUND)
    assert official_vote([]) == []
    assert official_vote([(plain, a)]) == [a]
    assert official_vote([(plain, a), (plain, a), (plain, b)])[0] == a
    assert official_vote([(plain, a), (plain, a), (plain, b), (turned, b), (turned, c)]) == [b, a]
    # A kind of view counts as much as any other, however many views it has: plain ones alone would have b first.
    ballots = [(plain, b)] * 3
    ballots += [(plain.seen(through), a) for through in (augment.TRANSPOSED, augment.TURNED_AROUND)]
    assert most_common([value for _, value in ballots])[0] == b
    assert official_vote(ballots)[0] == a
