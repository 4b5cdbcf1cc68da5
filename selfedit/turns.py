"""Passes over a model that others use, too: who wants to make one asks for its turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Where nobody else uses the model: whoever asks may begin at once."""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A pass, or part of one, for the time of the block. Blocks may be nested; threads have one each."""
        yield
