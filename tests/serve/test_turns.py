"""Answers and learning take turns: never at once, between two layers, each with its share of the time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from selfedit.serve.learning.turns import SharedTurns, Stopped

LAYER_S = 0.01


class Layers(nn.Module):
    """Sixteen layers that each take a while, forwards and backwards, and say who computes."""

    def __init__(self, at_work: list[str]) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_Layer(at_work) for _ in range(16)])

    def get_output_embeddings(self) -> nn.Module:
        return self.layers[-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class _Layer(nn.Module):
    def __init__(self, at_work: list[str]) -> None:
        super().__init__()
        self.at_work = at_work

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _Slow.apply(x, self.at_work)  # type: ignore[no-untyped-call, no-any-return]


class _Slow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: torch.Tensor, at_work: list[str]) -> torch.Tensor:
        ctx.at_work = at_work  # type: ignore[attr-defined]
        _work(at_work)
        return x + 1

    @staticmethod
    def backward(ctx: object, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        _work(ctx.at_work)  # type: ignore[attr-defined]
        return grad, None


def _work(at_work: list[str]) -> None:
    at_work.append("layer")
    time.sleep(LAYER_S)
    at_work.remove("layer")


def _train(turns: SharedTurns, model: Layers, passes: int) -> None:
    for _ in range(passes):
        with turns.turn():
            x = torch.zeros(2, requires_grad=True)
            model(x).sum().backward()
            assert x.grad is not None and torch.equal(x.grad, torch.ones(2))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_step_waits_for_a_layer_and_a_slice_at_most(threads: int) -> None:
    waited: list[float] = []
    at_work: list[str] = []
    turns = SharedTurns(0.5, 0.03, waited.append)
    model = Layers(at_work)
    turns.attach(model)  # type: ignore[arg-type]
    with ThreadPoolExecutor(threads) as pool:
        done = [pool.submit(_train, turns, model, 3) for _ in range(threads)]
        while not all(each.done() for each in done):
            with turns.step():
                assert not at_work  # Never at once.
                time.sleep(0.02)
                assert not at_work
        for each in done:
            each.result()
    # Many steps came in between; most waited for a slice as long as a step was, and a layer.
    assert len(waited) > 10
    assert sorted(waited)[len(waited) // 2] < 0.02 + 3 * LAYER_S


def test_alone_nobody_waits() -> None:
    waited: list[float] = []
    turns = SharedTurns(0.5, 10.0, waited.append)
    for _ in range(3):
        with turns.step():
            pass
    assert max(waited) < 0.01


def test_learning_is_given_up_at_the_next_pass() -> None:
    turns = SharedTurns(0.5, 0.03)
    with turns.turn():
        turns.stop()
        with turns.turn():  # Within one, it goes on.
            pass
    with pytest.raises(Stopped), turns.turn():
        pass
    turns.go_on()
    with turns.turn():
        pass
