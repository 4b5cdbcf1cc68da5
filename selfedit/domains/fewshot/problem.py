"""Few-shot problems: demonstrations, and inputs whose outputs are to be predicted from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from selfedit.domains.fewshot.values import KINDS, Kind, Value
from selfedit.types import Probe, Task


@dataclass(frozen=True)
class Pair:
    """An input with its output."""

    input: Value
    output: Value


@dataclass(frozen=True)
class Problem:
    """Demonstrations, and one pair that is to be predicted from them."""

    demonstrations: tuple[Pair, ...]
    query: Pair


def make_task(
    id: str, title: str, kind: Kind, demonstrations: list[Pair], tests: list[tuple[Value, Value | None]]
) -> Task:
    """A task as the outer loop carries it; a test whose output is unknown has a probe without answers."""
    context = json.dumps(
        {"kind": kind.name, "demonstrations": [[pair.input, pair.output] for pair in demonstrations]},
        separators=(",", ":"),
        ensure_ascii=False,
    )
    probes = tuple(
        Probe(f"{id}.q{number}", json.dumps(asked, separators=(",", ":"), ensure_ascii=False), answers)
        for number, (asked, gold) in enumerate(tests)
        for answers in ((kind.write(gold),) if gold is not None else (),)
    )
    return Task(id, title, context, probes)


@lru_cache(maxsize=4096)
def read_context(context: str) -> tuple[Kind, tuple[Pair, ...]]:
    """The kind and the demonstrations of a task's context."""
    raw = json.loads(context)
    kind = KINDS[raw["kind"]]
    return kind, tuple(Pair(kind.check(left), kind.check(right)) for left, right in raw["demonstrations"])


def leave_out(pairs: tuple[Pair, ...], count: int) -> list[Problem]:
    """Every way to hide `count` pairs and to ask for one of them; none if nothing would be left to show.

    A single pair cannot be left out and shown: it is then asked for without any.
    """
    if len(pairs) == 1:
        return [Problem((), pairs[0])] if count == 1 else []
    if len(pairs) <= count:
        return []
    problems = []
    for hidden in combinations(range(len(pairs)), count):
        shown = tuple(pair for place, pair in enumerate(pairs) if place not in hidden)
        problems += [Problem(shown, pairs[place]) for place in hidden]
    return problems
