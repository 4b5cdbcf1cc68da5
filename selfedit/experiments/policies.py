"""The policies of a run, as a tree: each was trained on top of its parent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ROOT = "base"
"""The id of the model that a run begins with."""


@dataclass(frozen=True)
class PolicyNode:
    """One trained policy.

    Attributes:
        id: 'r3' is the one of round 3, in the run's folder `policy-r3`.
        parent: the id of the policy that it was trained on top of, or `ROOT`.
        sha256: of its weights.
        figures: what the round was worth, by name.
        refused: why a gate did not let it take effect; empty if it did.
    """

    id: str
    parent: str
    sha256: str
    round: int
    figures: Mapping[str, float] = field(default_factory=dict)
    refused: str = ""


@dataclass(frozen=True)
class PolicyTree:
    """All policies of a run so far, in the order in which they were trained."""

    nodes: tuple[PolicyNode, ...] = ()

    def add(self, node: PolicyNode) -> PolicyTree:
        return PolicyTree((*self.nodes, node))

    @property
    def newest(self) -> str:
        """The id of the last policy that took effect."""
        return next((node.id for node in reversed(self.nodes) if not node.refused), ROOT)

    def path(self, id: str) -> tuple[PolicyNode, ...]:
        """The policies from the root's child to `id`, which lie on each other; none for the root.

        Raises:
            KeyError: there is no such policy.
        """
        by_id = {node.id: node for node in self.nodes}
        path: list[PolicyNode] = []
        while id != ROOT:
            path.append(by_id[id])
            id = by_id[id].parent
        return tuple(reversed(path))
