"""Leave-one-out: which of several recipes suits a task, by the demonstrations that it predicts when trained without."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from selfedit.domains.fewshot.problem import demonstrations_of, make_task
from selfedit.types import Recipe, Rollout, Task

FIXED = "none"
"""The format of the edit that is the fixed recipe, which nobody wrote."""

MAX_FOLDS = 3

LEAST_REACH = 0.05
"""An edit that can move a weight by a smaller share of what the fixed recipe can is not tried.

An optimizer such as AdamW moves a weight by about the learning rate a step, so rates times steps bound how far it gets.
"""


def leave_one_out(task: Task) -> list[Task]:
    """Tasks that ask for one of the demonstrations, each from all others; at most 3, and none of a single one."""
    kind, pairs = demonstrations_of(task)
    if len(pairs) < 2:
        return []
    return [
        make_task(
            f"{task.id}-{place}", task.title, kind, [*pairs[:place], *pairs[place + 1 :]], [(pair.input, pair.output)]
        )
        for place, pair in enumerate(pairs[:MAX_FOLDS])
    ]


def left_out_right(rollout: Rollout) -> int:
    """Demonstrations predicted exactly when left out, of as many as `afters` has."""
    return sum(after.answers[0].verdict.correct for after in rollout.afters)


def is_fixed(rollout: Rollout) -> bool:
    """Whether it is the fixed recipe's."""
    return rollout.edit.format == FIXED


def useless(recipe: Recipe, fixed: Recipe) -> str | None:
    """Why a recipe need not be set beside the fixed one; None if it should be."""
    if replace(recipe, id=fixed.id) == fixed:
        return "it is the fixed recipe"
    share = _reach(recipe) / _reach(fixed)
    if share < LEAST_REACH:
        rate = recipe.hyperparameters.learning_rate
        return (
            f"it would train next to nothing: {_steps(recipe)} steps at {rate:g} come to {share:.1%} of what the fixed "
            "recipe may change"
        )
    return None


def _steps(recipe: Recipe) -> int:
    training = recipe.hyperparameters
    batch = training.batch_size * training.gradient_accumulation
    return training.epochs * math.ceil(len(recipe.examples) / batch)


def _reach(recipe: Recipe) -> float:
    return recipe.hyperparameters.learning_rate * _steps(recipe)


@dataclass(frozen=True)
class Choice:
    """The place of the recipe that is taken, and why, in words."""

    place: int
    why: str


def choose(rollouts: Sequence[Rollout]) -> Choice | None:
    """The best of those that can be used; None if there is none.

    More demonstrations right are better, then a higher log-probability of theirs. The model's own edit has to be better
    than the fixed recipe in what is shown, that is by a hundredth: ties go to the fixed recipe.
    """
    usable = [place for place, rollout in enumerate(rollouts) if rollout.failure is None]
    own = [place for place in usable if not is_fixed(rollouts[place])]
    fixed = next((place for place in usable if is_fixed(rollouts[place])), None)
    if not own:
        return Choice(fixed, _alone(rollouts, fixed)) if fixed is not None else None
    best = max(own, key=lambda place: (left_out_right(rollouts[place]), rollouts[place].gold_logprob, -place))
    if fixed is None:
        return Choice(best, _alone(rollouts, best) if len(own) == 1 else _shown(rollouts[best]))
    mine, standard = rollouts[best], rollouts[fixed]
    is_better = _figures(mine) > _figures(standard)
    first, second = (mine, standard) if is_better else (standard, mine)
    tie = ", and a tie goes to the fixed recipe" if _figures(mine) == _figures(standard) else ""
    other = "the fixed recipe" if is_better else "the model's own" if len(own) == 1 else "the best of the model's own"
    return Choice(best if is_better else fixed, f"{_shown(first)}; by {other} {_shown(second)}{tie}")


def _figures(rollout: Rollout) -> tuple[int, float]:
    logprob = rollout.gold_logprob
    return left_out_right(rollout), round(logprob, 2)


def _shown(rollout: Rollout) -> str:
    right, logprob = _figures(rollout)
    return f"{right} of {len(rollout.afters)} left-out demonstrations are right (log-probability {logprob:.2f})"


def _alone(rollouts: Sequence[Rollout], place: int) -> str:
    """Why there was nothing to compare the only usable recipe with."""
    others = [rollout for other, rollout in enumerate(rollouts) if other != place]
    if not others:
        return "nothing was set beside it"
    if len(others) == 1:
        whose = "the fixed recipe" if is_fixed(others[0]) else "the model's own"
        return f"{whose} is not used, since {others[0].failure}"
    return f"none of the other {len(others)} is used"
