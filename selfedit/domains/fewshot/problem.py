"""Few-shot problems: demonstrations, and inputs whose outputs are to be predicted from them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from selfedit.domains.fewshot.values import KINDS, Kind
from selfedit.types import Demonstration, Demonstrations, Probe, Task, Value


@dataclass(frozen=True)
class Problem:
    """Demonstrations, and one pair that is to be predicted from them."""

    demonstrations: tuple[Demonstration, ...]
    query: Demonstration


def make_task(
    id: str, title: str, kind: Kind, demonstrations: list[Demonstration], tests: list[tuple[Value, Value | None]]
) -> Task:
    """A task; a test whose output is unknown has a probe without answers."""
    probes = tuple(
        Probe(f"{id}.q{number}", kind.write(asked), (kind.write(gold),) if gold is not None else (), asked)
        for number, (asked, gold) in enumerate(tests)
    )
    return Task(id, title, Demonstrations(kind.name, tuple(demonstrations)), probes)


def demonstrations_of(task: Task) -> tuple[Kind, tuple[Demonstration, ...]]:
    """The kind and the demonstrations of a few-shot task.

    Raises:
        TypeError: it is no few-shot task.
    """
    if not isinstance(task.context, Demonstrations):
        raise TypeError(f"task {task.id} has no demonstrations")
    return KINDS[task.context.kind], task.context.pairs


def input_of(probe: Probe) -> Value:
    """What a few-shot probe asks for.

    Raises:
        TypeError: it asks a question in words.
    """
    if probe.input is None:
        raise TypeError(f"probe {probe.id} has no input")
    return probe.input


def leave_out(pairs: tuple[Demonstration, ...], count: int) -> list[Problem]:
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
