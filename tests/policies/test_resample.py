"""Samples are drawn until each edit is usable and new, and counted."""

from __future__ import annotations

from collections.abc import Sequence

from selfedit.policies.base import OnEdit, Policy
from selfedit.policies.resample import ResamplingPolicy
from selfedit.types import Model, SelfEdit, Task
from tests.engine import BARE

TASKS = [Task("a", "", "text a"), Task("b", "", "text b")]


class Script(Policy):
    """Says what stands in the script: by task, one list of texts an attempt."""

    def __init__(self, **said: list[list[str]]) -> None:
        self.said, self.asked = said, 0
        self.seeds: list[int] = []

    def propose(
        self, tasks: Sequence[Task], edits: int, seed: int, model: Model, on_edit: OnEdit | None = None
    ) -> list[SelfEdit]:
        self.seeds.append(seed)
        self.asked += 1
        return [
            SelfEdit(f"{task.id}.e{i}", task.id, "settings", "", text, seed)
            for task in tasks
            for i, text in enumerate(self.said[task.id][self.asked - 1])
        ]


def usable(task: Task, edit: SelfEdit) -> bool:
    return "bad" not in edit.text


def test_only_what_is_missing_is_sampled_again() -> None:
    script = Script(a=[["good", "bad"], ["other", "x"]], b=[["one", "two"], []])
    told: list[str] = []
    found = ResamplingPolicy(script, usable, 5).propose(TASKS, 2, 0, BARE, lambda edit: told.append(edit.text))
    assert [(edit.id, edit.text, edit.attempts) for edit in found] == [
        ("a.e0", "good", 1),
        ("a.e1", "other", 2),
        ("b.e0", "one", 1),
        ("b.e1", "two", 1),
    ]
    assert script.asked == 2
    assert len(set(script.seeds)) == 2
    assert sorted(told) == ["good", "one", "other", "two"]


def test_what_was_said_is_not_new() -> None:
    script = Script(a=[["same", "same"], ["same", "x"], ["fresh", "y"]])
    found = ResamplingPolicy(script, usable, 5).propose(TASKS[:1], 2, 0, BARE)
    assert [(edit.text, edit.attempts) for edit in found] == [("same", 1), ("fresh", 3)]


def test_repeats_may_be_taken() -> None:
    script = Script(a=[["same", "bad"], ["same", "x"]])
    found = ResamplingPolicy(script, usable, 5, repeats=True).propose(TASKS[:1], 2, 0, BARE)
    assert [(edit.text, edit.attempts) for edit in found] == [("same", 1), ("same", 2)]


def test_when_attempts_run_out_the_last_sample_stays() -> None:
    script = Script(a=[["bad 1"], ["bad 2"]])
    (found,) = ResamplingPolicy(script, usable, 2).propose(TASKS[:1], 1, 0, BARE)
    assert (found.text, found.attempts) == ("bad 2", 2)
