"""Several looks at one few-shot problem, whose predictions are undone and then vote."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from selfedit.domains.fewshot import augment
from selfedit.domains.fewshot.augment import IDENTITY, Augmentation
from selfedit.types import Demonstration, Value

Pairs = tuple[Demonstration, ...]
ViewsName = Literal["once", "rigid", "leave-one-out"]

_ORDERS = 3
_SEEN_THROUGH = (
    augment.TRANSPOSED,
    augment.UPSIDE_DOWN,
    augment.LEFT_TO_RIGHT,
    augment.TURNED_LEFT,
    augment.TURNED_AROUND,
)


@dataclass(frozen=True)
class View:
    """Demonstrations and an input, all changed alike by `through`."""

    demonstrations: Pairs
    asked: Value
    through: Augmentation = IDENTITY

    def undone(self, value: Value) -> Value:
        """An output in this view, as it would be without it."""
        return self.through.inverse(value) if isinstance(value, tuple) else value

    def seen(self, through: Augmentation) -> View:
        """The same through an augmentation, of grids."""

        def look(value: Value) -> Value:
            return through.forward(value) if isinstance(value, tuple) else value

        shown = tuple(Demonstration(look(pair.input), look(pair.output)) for pair in self.demonstrations)
        return View(shown, look(self.asked), through)


Views = Callable[[Pairs, Value, int], list[View]]
"""Of all demonstrations and an input; `hidden` demonstrations are left out where the views leave any out."""


def once(pairs: Pairs, asked: Value, hidden: int) -> list[View]:
    """As it is."""
    return [View(pairs, asked)]


def rigid(pairs: Pairs, asked: Value, hidden: int) -> list[View]:
    """Grids as they are, turned and mirrored."""
    plain = View(pairs, asked)
    return [plain, *map(plain.seen, augment.RIGID)] if isinstance(asked, tuple) else [plain]


def leave_one_out(pairs: Pairs, asked: Value, hidden: int) -> list[View]:
    """The official code's: without each demonstration, in three orders, and some of these seen in five other ways.

    few-shot/inference/preprocess.py, lines 16 to 66. It draws from a set, whose order differs from process to process;
    here the same views come each time, so that models are compared on the same prompts.
    """
    rng = random.Random(0)
    views: dict[View, None] = {}
    for left in combinations(pairs, max(0, len(pairs) - hidden)):
        orders = [left, *(tuple(rng.sample(left, len(left))) for _ in range(_ORDERS - 1))]
        views |= dict.fromkeys(View(shown, asked) for shown in orders)
    plain = list(views)
    if not isinstance(asked, tuple):
        return plain
    # What looks the same is asked once, in the way that comes first.
    different = {(view.demonstrations, view.asked): view for view in plain}
    for through in _SEEN_THROUGH:
        view = rng.choice(plain).seen(through)
        different.setdefault((view.demonstrations, view.asked), view)
    return list(different.values())


VIEWS: dict[ViewsName, Views] = {"once": once, "rigid": rigid, "leave-one-out": leave_one_out}


def most_common(values: Sequence[Value]) -> list[Value]:
    """The values, those said most often first; of equals, the one said first."""
    return [value for value, _ in Counter(values).most_common()]


def official_vote(ballots: Sequence[tuple[View, Value]]) -> list[Value]:
    """Two values at most, by the official code's vote (few-shot/arclib/voting.py): each kind of view nominates three.

    Equals are told apart there by the order of a set; here by what was said first.
    """
    kinds: dict[str, list[Value]] = {"all": [value for _, value in ballots]}
    for name in (IDENTITY.name, *(through.name for through in _SEEN_THROUGH)):
        if of_kind := [value for view, value in ballots if view.through.name == name]:
            kinds[name] = of_kind
    nominated = [value for values in kinds.values() for value in _three(values)]
    if not nominated:
        return []
    first, second, third = _three(nominated)
    if nominated.count(second) == nominated.count(third):
        plain = kinds.get(IDENTITY.name)
        if plain is not None and plain.count(second) <= plain.count(third):
            second = third
    return list(dict.fromkeys((first, second)))


def _three(values: Sequence[Value]) -> list[Value]:
    """The three most common, the first again where there are fewer, which makes it weigh more.

    There the most common rows, or columns, stand in its place; of at most two values they are the first, but for ties.
    """
    ranked = most_common(values)
    return [*ranked, *ranked[:1] * 2][:3]
