"""The decoder layers below the first that is adapted: what they make of an example is the same in every epoch.

Where adapters are on the upper layers only, training keeps it and begins its passes above.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

_PLACE = re.compile(r"(.+?)\.(\d+)\.")
"""Where the decoder's layers are, and which of them a layer is in."""


@dataclass
class _Border:
    """What crosses from the lower layers to the upper ones, `[T, hidden]`: given, or to be seen; perhaps no further."""

    lower_TH: torch.Tensor | None = None
    ends_here: bool = False


class _Reached(Exception):
    """A pass that was only to come as far as the border."""


_active: ContextVar[_Border | None] = ContextVar("selfedit_border", default=None)


class LowerLayers:
    """Lets passes of a decoder end below its first adapted layer, or begin there.

    Layers are told what to do by the pass that is under way in their thread; others run as ever.

    Args:
        blocks: all decoder layers, in order.
        first: the place of the first one that is adapted.
    """

    def __init__(self, blocks: nn.ModuleList, first: int) -> None:
        self._blocks = list(blocks)[: first + 1]
        for block in self._blocks[:-1]:
            block.forward = _passing(block.forward)
        self._blocks[-1].forward = _entering(self._blocks[-1].forward)

    def close(self) -> None:
        """Leave the layers as they were."""
        for block in self._blocks:
            del block.forward

    @contextmanager
    def below(self) -> Iterator[_Border]:
        """The pass inside ends below; what it came to is in `lower_TH` of what this yields."""
        border = _Border(ends_here=True)
        token = _active.set(border)
        try:
            yield border
        except _Reached:
            pass
        finally:
            _active.reset(token)

    @contextmanager
    def above(self, lower_TH: torch.Tensor) -> Iterator[None]:
        """The pass inside begins there, with what a pass below came to."""
        token = _active.set(_Border(lower_TH))
        try:
            yield
        finally:
            _active.reset(token)


def lower_layers(model: nn.Module, adapted: Collection[str]) -> LowerLayers | None:
    """For a model with adapters on the named layers; None where its first decoder layer is adapted, or it has none."""
    places: dict[str, int] = {}
    for name in adapted:
        if (match := _PLACE.match(name)) is None:
            return None
        blocks, place = match[1], int(match[2])
        places[blocks] = min(place, places.get(blocks, place))
    if len(places) != 1:
        return None
    ((name, first),) = places.items()
    blocks_found = model.get_submodule(name)
    return LowerLayers(blocks_found, first) if first and isinstance(blocks_found, nn.ModuleList) else None


def upper_half(names: Collection[str]) -> list[str]:
    """Of layers' names, those in the upper half of the decoder; all, where none says its place."""
    placed = {name: int(match[2]) for name in names if (match := _PLACE.match(name)) is not None}
    middle = (max(placed.values(), default=0) + 1) // 2
    return [name for name in names if placed.get(name, middle) >= middle]


Forward = Callable[..., Any]


def _passing(forward: Forward) -> Forward:
    """A layer's computation, left out in passes that begin above it."""

    def run(hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        border = _active.get()
        if border is None or border.ends_here:
            return forward(hidden_states, *args, **kwargs)
        return hidden_states

    return run


def _entering(forward: Forward) -> Forward:
    """The first adapted layer's computation, on what came from below or was kept of it."""

    def run(hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        border = _active.get()
        if border is None:
            return forward(hidden_states, *args, **kwargs)
        if border.ends_here:
            border.lower_TH = hidden_states.detach()[0]
            raise _Reached
        assert border.lower_TH is not None
        return forward(border.lower_TH[None], *args, **kwargs)

    return run
