"""Algorithms: from a round's outcomes to what the policy learns from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from selfedit.experiments.groups import OuterSettings
from selfedit.experiments.policies import PolicyTree
from selfedit.types import Example, Group, SelfEdit, Task

AsExamples = Callable[[Task, SelfEdit], tuple[Example, ...]]
"""A self-edit as the policy is to learn it: weight 0 on what it is asked, 1 on what it is to write."""


@dataclass(frozen=True)
class Round:
    """What an algorithm learns from.

    Attributes:
        parent: the id of the policy that wrote the edits.
        groups: one a task, its rollouts with their rewards; none is marked as kept.
    """

    number: int
    parent: str
    policies: PolicyTree
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class PolicyUpdate:
    """What the next policy is trained on.

    Attributes:
        groups: the round's, with what is learnt from marked as kept.
        examples: with a weight a token, which may be negative; none leaves the policy as it is.
        parent: the id of the policy that is trained.
        note: why nothing is learnt, where nothing is.
    """

    groups: tuple[Group, ...]
    examples: tuple[Example, ...]
    parent: str
    note: str = ""


class Algorithm(ABC):
    """Decides which policy writes, and what the next one learns from."""

    name: ClassVar[str]

    def __init__(self, settings: OuterSettings) -> None:
        self.settings = settings

    def parent(self, policies: PolicyTree) -> str:
        """The id of the policy that writes the next round's edits: the last one that took effect."""
        return policies.newest

    @abstractmethod
    def update(self, round_: Round, as_examples: AsExamples) -> PolicyUpdate:
        """What the policy learns from the round."""
