"""Who computes: the answers' thread, a step at a time, or what learns, from one layer of the model to the next."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from selfedit.turns import Turns

_LEAST_SLICE_S = 0.005
"""However short a step was: less would only be spent on changing over."""


class Stopped(BaseException):
    """What is learnt is to be given up. No failure, so that nothing that handles failures takes it for one."""


class SharedTurns(Turns):
    """Steps of the answers and passes of what learns, never at once, however many threads learn.

    A pass stops between two layers where a step is wanted. While answers are live, learning has after each step a
    slice of time, at most so long that it has `share` of the whole; while none are, it has all.

    Args:
        share: of the time, between 0 and 1.
        slice_s: the longest slice, in seconds.
        told: is given the seconds that each step waited.
    """

    def __init__(self, share: float, slice_s: float, told: Callable[[float], None] = lambda _: None) -> None:
        self._ratio, self._slice_s, self._told = share / (1 - share), slice_s, told
        self._changed = threading.Condition()
        self._step_wanted = self._stopped = False
        self._passing = self._waiting = 0
        self._granted = self._slice_ends = 0.0  # The slice that learning has when it goes on, and when that ends.
        self._mine = threading.local()

    def attach(self, model: PreTrainedModel) -> None:
        """Let passes over a model stop between its layers."""
        blocks = [each for group in model.modules() if isinstance(group, nn.ModuleList) for each in group]
        for block in blocks:
            block.register_forward_pre_hook(self._before_layer)
            block.register_forward_hook(self._after_layer)
        # The loss computes logits in pieces.
        model.get_output_embeddings().register_forward_pre_hook(self._before_layer)

    def stop(self) -> None:
        """Have whatever learns give up at its next pass, by raising `Stopped` there, until `go_on`."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def go_on(self) -> None:
        """Let passes be made again."""
        self._stopped = False

    @contextmanager
    def step(self) -> Iterator[None]:
        """A step of the answers, for the time of the block."""
        asked = time.monotonic()
        with self._changed:
            # A busy system may let those that wait for their slice wait a little longer.
            self._changed.wait_for(lambda: self._passing or not self._waiting, self._slice_s)
            while (self._passing or self._waiting) and (left := self._slice_ends - time.monotonic()) > 0:
                self._changed.wait(left)
            self._step_wanted = True
            while self._passing:
                self._changed.wait()
        began = time.monotonic()
        self._told(began - asked)
        try:
            yield
        finally:
            with self._changed:
                took = time.monotonic() - began
                self._granted = min(self._slice_s, max(_LEAST_SLICE_S, self._ratio * took))
                self._step_wanted = False
                self._changed.notify_all()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Raises Stopped where learning is to be given up."""
        if self._depth:
            yield
            return
        if self._stopped:
            raise Stopped
        self._enter()
        try:
            yield
        finally:
            self._leave()

    @property
    def _depth(self) -> int:
        return getattr(self._mine, "depth", 0)

    def _enter(self) -> None:
        with self._changed:
            self._waiting += 1
            while self._step_wanted:
                self._changed.wait()
            self._waiting -= 1
            self._passing += 1
            if self._granted:
                self._slice_ends, self._granted = time.monotonic() + self._granted, 0.0
            self._changed.notify_all()
        self._mine.depth = 1

    def _leave(self) -> None:
        self._mine.depth = 0
        with self._changed:
            self._passing -= 1
            self._changed.notify_all()

    def _let_pass(self) -> None:
        """Stop here for a step, if one is wanted, and this thread is in a pass."""
        if self._step_wanted and self._depth:
            self._leave()
            self._enter()

    def _before_layer(self, *_: Any) -> None:
        self._let_pass()

    def _after_layer(self, _: nn.Module, __: Any, output: Any) -> None:
        """On the way back, a layer begins when the gradient of what it put out is there."""
        hidden = output[0] if isinstance(output, tuple) else output
        if isinstance(hidden, torch.Tensor) and hidden.requires_grad:
            hidden.register_hook(lambda _: self._let_pass())
