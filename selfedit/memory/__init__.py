"""Memories by name. A new one is one file and one line here; a user's own is `package.module:Class`."""

from __future__ import annotations

from selfedit.imports import load_named
from selfedit.memory.base import Means, Memory, Same, same_document, same_passage
from selfedit.memory.joint import JointMemory
from selfedit.memory.merge import MergeMemory
from selfedit.memory.replay import ReplayMemory
from selfedit.memory.routed import RoutedMemory
from selfedit.types import Knowledge

MEMORIES: dict[str, type[Memory]] = {
    memory.name: memory for memory in (RoutedMemory, JointMemory, ReplayMemory, MergeMemory)
}
DEFAULT_MEMORY = RoutedMemory.name
DEFAULT_ROUTER = "fitted"
"""By its name: what routers need takes its time to import."""

__all__ = [
    "DEFAULT_MEMORY",
    "DEFAULT_ROUTER",
    "MEMORIES",
    "Means",
    "Memory",
    "Same",
    "is_routed",
    "load_memory",
    "same_document",
    "same_passage",
]


def load_memory(name: str) -> type[Memory]:
    """The memory of that name.

    Raises:
        UserError: there is none; the nearest is suggested.
    """
    return load_named(name, "memory", MEMORIES, Memory)


def is_routed(knowledge: Knowledge) -> bool:
    """Whether a router chooses who answers. What stores of release 0.1 know has no memory's name."""
    return bool(knowledge.memory) and load_memory(knowledge.memory).routed
