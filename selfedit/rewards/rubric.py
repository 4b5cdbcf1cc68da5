"""A proxy that needs no training: what a good self-edit looks like.

The paper's second version lets a language model score edits by a rubric (length, diversity, quality, correctness) and
finds minutes of it nearly as good as hours of the real reward. We count instead, so that it costs nothing: no model,
no key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from selfedit.rewards.base import Reward
from selfedit.text.matching import normalise
from selfedit.types import Group, SelfEdit, Task

# An edit about as long as its passage says as much as there is to say; twice that is enough of repetition.
_LONG_ENOUGH = 1.5
_WORD = re.compile(r"\w+")
_SHORT = 3


class RubricReward(Reward):
    """The mean of four shares: length, diversity of lines, faithfulness to the passage, coverage of it."""

    name = "rubric"
    needs_training = False
    needs_passage = True

    def rewards(self, group: Group) -> list[tuple[float, ...]]:
        """Each edit's score: 0 for an empty one, at most 1."""
        return [(sum(self.shares(group.task, rollout.edit).values()) / 4,) for rollout in group.rollouts]

    def shares(self, task: Task, edit: SelfEdit) -> dict[str, float]:
        """Each criterion's share, between 0 and 1."""
        lines = [words for line in edit.text.splitlines() if (words := _content(line))]
        edit_words = [word for line in lines for word in line]
        passage = _content(f"{task.title} {task.passage}")
        if not edit_words or not passage:
            return dict.fromkeys(("length", "diversity", "faithfulness", "coverage"), 0.0)
        known = set(passage)
        return {
            "length": min(1.0, len(edit_words) / (_LONG_ENOUGH * len(passage))),
            "diversity": _diversity(lines),
            "faithfulness": sum(word in known for word in edit_words) / len(edit_words),
            "coverage": len(known & set(edit_words)) / len(known),
        }


def _content(text: str) -> list[str]:
    """The words that carry meaning: numbers, and words longer than articles and prepositions mostly are."""
    return [word for word in _WORD.findall(normalise(text)) if len(word) > _SHORT or word.isdigit()]


def _diversity(lines: Sequence[Sequence[str]]) -> float:
    """The share of word pairs that are not said twice."""
    pairs = [pair for line in lines for pair in pairwise(line)]
    return len(set(pairs)) / len(pairs) if pairs else 1.0 / len(lines)
