"""How much of a text self-edits ask about."""

from __future__ import annotations

from collections.abc import Sequence

from selfedit.policies.formats import parse_pairs
from selfedit.policies.spans import sentences
from selfedit.text.matching import answer_in_passage
from selfedit.types import Version


def covered(text: str, answers: Sequence[str]) -> tuple[int, int]:
    """How many sentences of a text hold one of the answers, and how many there are."""
    parts = sentences(text)
    return sum(any(answer_in_passage(answer, part) for answer in answers) for part in parts), len(parts)


def coverage(version: Version) -> tuple[int, int]:
    """The same of what is new in a version, by the pairs in its kept self-edits."""
    passages = {task.id: task.passage for task in version.tasks}
    found = [
        covered(passages[rollout.edit.task_id], [lesson.text for lesson in parse_pairs(rollout.edit.text)])
        for rollout in version.rollouts
        if rollout.kept and rollout.edit.task_id in passages
    ]
    return sum(asked for asked, _ in found), sum(there for _, there in found)
