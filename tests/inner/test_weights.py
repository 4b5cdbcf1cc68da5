"""Weights a token and teachers, held against plain autograd."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from selfedit.inner.backward import Piece, accumulate_gradients
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.inner.peft import PeftInnerLoop
from selfedit.multilora.model import MultiLoraModel
from selfedit.types import Example, Recipe, Teacher
from tests.engine import VOCAB, in_peft, load_tiny, random_adapter, train
from tests.inner.test_batched import distance, flat
from tests.recipes import recipe


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_tiny(tmp_path_factory.mktemp("llama"))


def weighted(seed: int, teacher: bool) -> Example:
    """A random sequence whose weights are of either sign, some zero; with a teacher for two of three tokens."""
    rng = random.Random(seed)
    tokens = tuple(rng.randrange(3, VOCAB) for _ in range(12))
    weights = tuple(rng.choice((0.0, 1.0, 0.25, -0.5)) for _ in range(11))
    if not teacher:
        return Example(tokens, (0.0, *weights[:10], 1.0))
    ids = [tuple(rng.sample(range(3, VOCAB), rng.choice((0, 2, 5)))) for _ in tokens]
    shares = [tuple(rng.random() / max(1, len(row)) for _ in row) for row in ids]
    return Example(tokens, (0.0, *weights[:10], 1.0), Teacher(tuple(ids), tuple(shares)))


def plain_loss(logits_TV: torch.Tensor, example: Example) -> torch.Tensor:
    """The definition, token by token."""
    loss = torch.zeros(())
    for place in range(1, len(example.tokens)):
        logprobs_V = logits_TV[place - 1].log_softmax(-1)
        ids: tuple[int, ...] = (example.tokens[place],)
        shares: tuple[float, ...] = (1.0,)
        if example.teacher is not None and example.teacher.ids[place]:
            ids, shares = example.teacher.ids[place], example.teacher.probabilities[place]
        entropy = -sum(share * logprobs_V[token] for token, share in zip(ids, shares, strict=True))
        loss = loss + example.weights[place] * entropy
    return loss


@pytest.mark.parametrize("teacher", [False, True])
def test_gradients_are_those_of_the_definition(model: Any, teacher: bool) -> None:
    adapters = [random_adapter(model, f"a{i}", rank=4, seed=i) for i in range(2)]
    pieces = [Piece(slot, weighted(slot, teacher), 0.1) for slot in range(2)]
    multi = MultiLoraModel(model, 2, 4, list(adapters[0].factors), train=True)
    for slot, adapter in enumerate(adapters):
        multi.load(slot, adapter)
    losses = accumulate_gradients(multi, pieces)
    batched = [multi.gradients(slot, 4) for slot in range(2)]
    multi.unwrap()
    for piece, adapter, loss in zip(pieces, adapters, losses, strict=True):
        peft_model = in_peft(model, adapter)
        expected = 0.1 * plain_loss(peft_model(input_ids=torch.tensor([piece.example.tokens])).logits[0], piece.example)
        expected.backward()
        assert loss == pytest.approx(expected.item(), abs=1e-5)
        for name in adapter.factors:
            layer = peft_model.base_model.model.get_submodule(name)
            assert distance(batched[piece.slot][name].a_RI, layer.lora_A["default"].weight.grad) < 1e-5
            assert distance(batched[piece.slot][name].b_OR, layer.lora_B["default"].weight.grad) < 1e-5
        peft_model.unload()


@pytest.mark.parametrize("teacher", [False, True])
def test_the_yardstick_trains_the_same(model: Any, teacher: bool) -> None:
    made = replace(recipe(3, VOCAB), examples=tuple(weighted(i, teacher) for i in range(5)))
    (ours,), (theirs,) = train(BatchedInnerLoop(model), [made]), train(PeftInnerLoop(model), [made])
    assert ours.losses == pytest.approx(theirs.losses, abs=2e-5)
    assert distance(flat(ours), flat(theirs)) < 1e-2


def one_hot(made: Recipe) -> Recipe:
    examples = (
        replace(e, teacher=Teacher(tuple((token,) for token in e.tokens), ((1.0,),) * len(e.tokens)))
        for e in made.examples
    )
    return replace(made, examples=tuple(examples))


def test_a_teacher_that_is_sure_of_each_token_is_no_teacher(model: Any) -> None:
    made = recipe(2, VOCAB)
    (without,), (taught,) = train(BatchedInnerLoop(model), [made]), train(BatchedInnerLoop(model), [one_hot(made)])
    assert torch.equal(flat(without), flat(taught))


def test_a_step_is_divided_by_how_many_tokens_have_a_weight(model: Any) -> None:
    """Half the weights are half the loss; tokens of weight zero do not dilute it."""
    base = replace(recipe(0, VOCAB, epochs=1), examples=(Example((5, 6, 7, 8), (1.0, 1.0, 1.0, 1.0)),))
    halved = replace(base, examples=(Example((5, 6, 7, 8), (0.5, 0.5, 0.5, 0.5)),))
    last = replace(base, examples=(Example((5, 6, 7, 8), (0.0, 0.0, 0.0, 1.0)),))
    losses = [next(iter(train(BatchedInnerLoop(model), [made]))).losses[0] for made in (base, halved, last)]
    assert losses[1] == pytest.approx(losses[0] / 2)
    tokens = torch.tensor([[5, 6, 7, 8]])
    loss_T = nn.functional.cross_entropy(model(input_ids=tokens).logits[0, :-1], tokens[0, 1:], reduction="none")
    assert losses[0] == pytest.approx(float(loss_T.mean()), abs=1e-5)
    assert losses[2] == pytest.approx(float(loss_T[-1]), abs=1e-5)


def test_a_negative_weight_makes_a_token_less_likely(model: Any) -> None:
    hyperparameters = replace(recipe(0, VOCAB).hyperparameters, learning_rate=1e-2, epochs=5)
    prompt, token = (5, 6, 7), 8
    logprob = {}
    for name, weight in (("praised", 1.0), ("blamed", -1.0)):
        made = Recipe(name, (Example((*prompt, token), (0.0, 0.0, 0.0, weight)),), hyperparameters, 0)
        (adapter,) = train(BatchedInnerLoop(model), [made])
        peft_model = in_peft(model, adapter)
        with torch.no_grad():
            logprob[name] = float(peft_model(input_ids=torch.tensor([prompt])).logits[0, -1].log_softmax(-1)[token])
        peft_model.unload()
    with torch.no_grad():
        before = float(model(input_ids=torch.tensor([prompt])).logits[0, -1].log_softmax(-1)[token])
    assert logprob["blamed"] < before < logprob["praised"]


def test_exports_side_by_side(model: Any, tmp_path: Path) -> None:
    from selfedit.multilora.merge import merged, side_by_side

    adapters = [random_adapter(model, f"a{i}", rank=2 + 2 * i, seed=i) for i in range(2)]
    tokens = torch.tensor([[5, 6, 7, 8, 9]])
    with torch.no_grad(), merged(model, adapters):
        expected = model(input_ids=tokens).logits
    summed = side_by_side(adapters, "sum")
    peft_model = in_peft(model, summed)
    with torch.no_grad():
        assert torch.allclose(peft_model(input_ids=tokens).logits, expected, atol=1e-5)
    peft_model.unload()
    assert (summed.lora.rank, summed.lora.scaling) == (6, 1.0)
