"""Routers: which of many adapters answers a question, or none of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Route:
    """What one adapter answers for.

    Attributes:
        id: what a `Choice` calls it; unique among a router's routes.
        title: of the passage, as 'Document' or 'Document - Heading'.
        text: the passage.
        questions: what was asked about the passage when it was learnt, if anything.
    """

    id: str
    title: str
    text: str
    questions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Query:
    """A question.

    Attributes:
        topic: the title that the user named, if any.
        history: the earlier turns of the conversation, newest last.
    """

    text: str
    topic: str = ""
    history: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """Where a question goes.

    Attributes:
        id: the chosen route's; None is the bare base model.
        probability: from 0 to 1, how likely it is that the question belongs to one of the routes at all.
        ranked: the best few routes by id, each with a score; larger is better, and only the order means something.
    """

    id: str | None
    probability: float
    ranked: tuple[tuple[str, float], ...]


class Router(ABC):
    """Chooses among routes. What it needs to know of them is worked out once, in the constructor.

    Attributes:
        unsure: routes whose score lies no further below that of the chosen one are asked, too.
    """

    name: ClassVar[str]
    unsure: ClassVar[float] = 0.0

    @abstractmethod
    def __init__(self, routes: Sequence[Route]) -> None: ...

    @abstractmethod
    def choose(self, queries: Sequence[Query]) -> list[Choice]:
        """A choice for each query, in their order; the same for the same routes and query."""
