"""How a chunk reaches a worker: all in which one executor differs from another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ready:
    """A worker has loaded the base and waits for an order."""

    worker: str
    host: str


@dataclass(frozen=True)
class Answered:
    """A worker answered its order; `data` is a packed `wire.Answer`."""

    worker: str
    data: bytes


@dataclass(frozen=True)
class Gone:
    """A worker is no more.

    Attributes:
        blamed: whether what it was doing may be why: not where its whole machine went.
    """

    worker: str
    reason: str
    blamed: bool


@dataclass(frozen=True)
class Unfit:
    """A worker cannot be used: another release, another base, too little memory. Said in one line."""

    worker: str
    host: str
    reason: str


Event = Ready | Answered | Gone | Unfit


class Fleet(ABC):
    """Workers, each with a resident base, and one order at a time."""

    @abstractmethod
    def poll(self, timeout: float) -> Sequence[Event]:
        """What happened, after at most `timeout` seconds. Workers that are lost are replaced, and new ones found."""

    @abstractmethod
    def send(self, worker: str, name: str, order: bytes, model_key: str, model: bytes) -> None:
        """Give an order to a worker that waits. A worker that cannot be reached is `Gone` at the next `poll`.

        Args:
            name: of the order, to be shown.
            model_key: the hash of `model`, which is sent only where it is not yet.
        """

    @property
    @abstractmethod
    def starting(self) -> int:
        """Workers that have not yet said whether they are ready."""

    @abstractmethod
    def close(self) -> None:
        """Let all workers go."""
