"""A pass in two halves gives the gradients of the whole pass."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from selfedit.inner import halves
from selfedit.inner.backward import Piece, accumulate_gradients
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.inner.halves import Halves, split
from selfedit.multilora.model import MultiLoraModel
from selfedit.types import Example
from tests.engine import VOCAB, load_tiny, random_adapter, train
from tests.recipes import recipe


@pytest.fixture
def multi(tmp_path: Any) -> Iterator[MultiLoraModel]:
    model = load_tiny(tmp_path)
    adapters = [random_adapter(model, f"a{i}", rank=4, seed=i) for i in range(4)]
    wrapped = MultiLoraModel(model, 4, 4, list(adapters[0].factors), train=True)
    for slot, adapter in enumerate(adapters):
        wrapped.load(slot, adapter)
    yield wrapped
    wrapped.unwrap()


def some_pieces() -> list[Piece]:
    return [Piece(slot, example, 0.1) for slot in range(4) for example in recipe(slot, VOCAB).examples]


def of_lengths(*slots_and_lengths: tuple[int, int]) -> list[Piece]:
    return [Piece(slot, Example((1,) * length, (1.0,) * length), 1.0) for slot, length in slots_and_lengths]


def test_halves_give_the_gradients_and_losses_of_the_whole(multi: MultiLoraModel, two_threads: None) -> None:
    pieces = some_pieces()
    whole_losses = accumulate_gradients(multi, pieces)
    whole = multi.grads_NP.clone()
    multi.stale = set(range(4))
    with Halves(multi) as both:
        losses = both.run(pieces)
    assert losses == pytest.approx(whole_losses, rel=1e-5)
    assert float((multi.grads_NP - whole).norm() / whole.norm()) < 1e-5


def test_the_same_recipes_give_the_same_adapters_to_the_bit(multi: MultiLoraModel, two_threads: None) -> None:
    model = multi.unwrap()
    recipes = [recipe(i, VOCAB) for i in range(5)]
    runs = [{a.recipe_id: a for a in train(BatchedInnerLoop(model, 4, 120), recipes)} for _ in range(2)]
    for name, adapter in runs[0].items():
        for layer, factors in adapter.factors.items():
            again = runs[1][name].factors[layer]
            assert torch.equal(factors.a_RI, again.a_RI) and torch.equal(factors.b_OR, again.b_OR)


def test_both_halves_have_a_thread_and_the_caller_keeps_its_number(
    multi: MultiLoraModel, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []

    def spy(*arguments: Any) -> list[float]:
        seen.append((threading.current_thread().name, torch.get_num_threads()))
        return accumulate_gradients(*arguments)

    monkeypatch.setattr(halves, "accumulate_gradients", spy)
    with Halves(multi) as both:
        both.run(some_pieces())
    assert [count for _, count in seen] == [1, 1]
    assert threading.current_thread().name not in {name for name, _ in seen}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("pieces", "first"),
    [
        (of_lengths((0, 10), (1, 10), (2, 10), (3, 10)), 2),
        (of_lengths((0, 50), (1, 10), (2, 10)), 1),
        (of_lengths((0, 10), (0, 10), (0, 10), (1, 5)), 3),
        (of_lengths((0, 10), (0, 10)), 2),
        (of_lengths((5, 10)), 1),
    ],
)
def test_halves_are_even_and_never_share_a_slot(pieces: list[Piece], first: int) -> None:
    left, right = split(pieces)
    assert len(left) == first
    assert [*left, *right] == pieces
    assert not {piece.slot for piece in left} & {piece.slot for piece in right}


def test_a_half_that_fails_is_told_when_both_have_ended(
    multi: MultiLoraModel, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []

    def fails_for_slot_0(of: MultiLoraModel, pieces: list[Piece]) -> list[float]:
        if pieces[0].slot == 0:
            raise torch.OutOfMemoryError("no memory left")
        losses = accumulate_gradients(of, pieces)
        ended.append(pieces[-1].slot)
        return losses

    monkeypatch.setattr(halves, "accumulate_gradients", fails_for_slot_0)
    with Halves(multi) as both, pytest.raises(torch.OutOfMemoryError):
        both.run(some_pieces())
    assert ended == [3]


@pytest.mark.parametrize("rope", [{"rope_type": "dynamic"}, {"full_attention": {"rope_type": "longrope"}}])
def test_models_that_keep_state_run_whole(
    multi: MultiLoraModel, two_threads: None, rope: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def spy(*_: object) -> list[float]:
        threads.append(threading.current_thread())
        return [0.0]

    monkeypatch.setattr(multi.model.config, "rope_parameters", rope)
    monkeypatch.setattr(halves, "accumulate_gradients", spy)
    with Halves(multi) as both:
        both.run(some_pieces())
    assert threads == [threading.current_thread()]
