"""From the demonstrations and a self-edit's choices to training problems. `official_problems.py` has the paper's."""

from __future__ import annotations

import random
from collections.abc import Sequence

from selfedit.domains.fewshot import augment
from selfedit.domains.fewshot.choices import Choices
from selfedit.domains.fewshot.problem import Problem, leave_out
from selfedit.domains.fewshot.values import Kind
from selfedit.types import Demonstration

Pairs = tuple[Demonstration, ...]

_REORDERINGS = 2


def training_problems(kind: Kind, pairs: Pairs, choices: Choices, seed: int) -> list[Problem]:
    """Different problems, the same for the same seed; unchanged ones come first. Never empty.

    Raises:
        ValueError: a paraphrase is of a demonstration that is not there.
    """
    rng = random.Random(seed)
    make = _of_grids if kind.name == "grid" else _of_texts
    plain, changed = make(pairs, choices, rng)
    # What a bound leaves out is a fair draw of all that was changed.
    rng.shuffle(changed)
    return list(dict.fromkeys([*plain, *changed]))


def _of_grids(pairs: Pairs, choices: Choices, rng: random.Random) -> tuple[list[Problem], list[Problem]]:
    """Leave-one-out and leave-two-out problems; the chosen augmentations of them, and all of these recoloured."""
    plain = [*leave_out(pairs, 1), *leave_out(pairs, 2)]
    augmented = [
        changed
        for name in choices.groups
        for augmentation in augment.group(name, rng)
        for problem in plain
        if (changed := augmentation.apply(problem)) is not None
    ]
    recoloured = [augment.recolouring(rng).apply(_reordered(problem, rng)) for problem in (*plain, *augmented)]
    return plain, [*augmented, *(problem for problem in recoloured if problem is not None)]


def _of_texts(pairs: Pairs, choices: Choices, rng: random.Random) -> tuple[list[Problem], list[Problem]]:
    """The chosen ways to leave pairs out, each pair by itself where none is chosen; and the same in other orders."""
    shown = [*pairs, *_paraphrased(pairs, choices)]
    problems: list[Problem] = []
    if "leave_one_out" in choices.groups:
        problems += leave_out(pairs, 1)
        problems += [
            Problem(tuple(pair for pair in pairs if pair.output != other.output), other)
            for other in shown[len(pairs) :]
        ]
    if "leave_two_out" in choices.groups:
        problems += leave_out(pairs, 2)
    problems = problems or [Problem((), pair) for pair in shown]
    reordered = "order_permutations" in choices.groups
    return problems, [_reordered(problem, rng) for problem in problems for _ in range(_REORDERINGS * reordered)]


def _paraphrased(pairs: Sequence[Demonstration], choices: Choices) -> list[Demonstration]:
    """The pairs that the edit puts in other words."""
    paraphrased = []
    for paraphrase in choices.paraphrases:
        if paraphrase.demonstration > len(pairs):
            raise ValueError(f"it paraphrases demonstration {paraphrase.demonstration} of {len(pairs)}")
        paraphrased.append(Demonstration(paraphrase.input, pairs[paraphrase.demonstration - 1].output))
    return paraphrased


def _reordered(problem: Problem, rng: random.Random) -> Problem:
    shown = list(problem.demonstrations)
    rng.shuffle(shown)
    return Problem(tuple(shown), problem.query)
