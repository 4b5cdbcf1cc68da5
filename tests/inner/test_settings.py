"""What a recipe may ask for: accumulation, dropout, an adapter to start from, full finetuning, merged edits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from selfedit.generate.base import Request
from selfedit.generate.batched import BatchedGenerator
from selfedit.inner.backward import Piece, accumulate_gradients
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.inner.full import FullInnerLoop
from selfedit.inner.peft import PeftInnerLoop
from selfedit.multilora.merge import merged
from selfedit.multilora.model import MultiLoraModel
from selfedit.multilora.packed_batch import SequenceDropout
from selfedit.types import Adapter, FullWeights, Recipe
from tests.engine import BARE, VOCAB, in_peft, load_tiny, random_adapter, train, under
from tests.inner.test_batched import distance, flat
from tests.recipes import recipe
from tests.tiny import make_tiny_tokenizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_tiny(tmp_path_factory.mktemp("llama"))


def with_settings(made: Recipe, **settings: Any) -> Recipe:
    return replace(made, hyperparameters=replace(made.hyperparameters, **settings))


def with_dropout(made: Recipe, dropout: float) -> Recipe:
    return with_settings(made, lora=replace(made.hyperparameters.lora, dropout=dropout))


def test_accumulating_is_a_larger_batch(model: Any) -> None:
    accumulated = with_settings(recipe(3, VOCAB), batch_size=2, gradient_accumulation=2)
    large = with_settings(recipe(3, VOCAB), batch_size=4)
    left, right = (next(train(BatchedInnerLoop(model, token_budget=30), [r])) for r in (accumulated, large))
    assert torch.equal(flat(left), flat(right))
    assert len(left.losses) < len(next(train(BatchedInnerLoop(model), [recipe(3, VOCAB)])).losses)


class _Given(nn.Module):
    """Dropout by the draws that it is given."""

    def __init__(self, dropout: SequenceDropout) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.dropout.mask(x.shape[-2], x.shape[-1])


def test_dropout_has_pefts_gradients_for_the_same_draws(model: Any) -> None:
    adapters = [random_adapter(model, f"a{i}", rank=4, seed=i) for i in range(2)]
    examples = [recipe(i, VOCAB).examples[0] for i in range(2)]
    pieces = [Piece(slot, examples[slot], 0.1, dropout=0.3, seed=7 + slot) for slot in range(2)]
    multi = MultiLoraModel(model, 2, 4, list(adapters[0].factors), train=True)
    for slot, adapter in enumerate(adapters):
        multi.load(slot, adapter)
    accumulate_gradients(multi, pieces)
    batched = [multi.gradients(slot, 4) for slot in range(2)]
    multi.unwrap()
    for piece, adapter in zip(pieces, adapters, strict=True):
        peft_model = in_peft(model, adapter)
        dropout = SequenceDropout(0.3, piece.seed)
        layers = {name: peft_model.base_model.model.get_submodule(name) for name in adapter.factors}
        for layer in layers.values():
            layer.lora_dropout["default"] = _Given(dropout)
        tokens = torch.tensor([piece.example.tokens])
        loss_T = nn.functional.cross_entropy(
            peft_model(input_ids=tokens).logits[0, :-1], tokens[0, 1:], reduction="none"
        )
        ((loss_T * torch.tensor(piece.example.weights[1:])).sum() * piece.weight).backward()
        for name, layer in layers.items():
            assert distance(batched[piece.slot][name].a_RI, layer.lora_A["default"].weight.grad) < 1e-5
            assert distance(batched[piece.slot][name].b_OR, layer.lora_B["default"].weight.grad) < 1e-5
        peft_model.unload()


def test_dropout_does_not_depend_on_neighbours_or_passes(model: Any) -> None:
    recipes = [with_dropout(recipe(i, VOCAB), 0.2) for i in range(4)]
    alone = next(train(BatchedInnerLoop(model), [recipes[1]]))
    without = next(train(BatchedInnerLoop(model), [recipe(1, VOCAB)]))
    assert distance(flat(alone), flat(without)) > 0.01
    for budget in (1, 50, 10_000):
        together = {a.recipe_id: a for a in train(BatchedInnerLoop(model, 3, budget), recipes)}
        assert distance(flat(together["r1"]), flat(alone)) < 1e-3


def test_an_adapter_starts_where_another_ended(model: Any) -> None:
    first = next(train(BatchedInnerLoop(model), [recipe(0, VOCAB, learning_rate=1e-2)]))
    second = replace(recipe(1, VOCAB), start=first)
    together = {a.recipe_id: a for a in train(BatchedInnerLoop(model), [second, recipe(2, VOCAB)])}
    oracle = next(train(PeftInnerLoop(model), [second]))
    assert together["r1"].losses == pytest.approx(oracle.losses, abs=2e-5)
    assert distance(flat(together["r1"]), flat(oracle)) < 1e-3
    fresh = next(train(BatchedInnerLoop(model), [recipe(1, VOCAB)]))
    assert distance(flat(together["r1"]), flat(fresh)) > 0.01


def test_starting_from_another_shape_is_refused(model: Any) -> None:
    other = next(train(BatchedInnerLoop(model), [recipe(0, VOCAB, rank=4)]))
    with pytest.raises(ValueError, match="cannot start from"):
        list(train(BatchedInnerLoop(model), [replace(recipe(1, VOCAB, rank=8), start=other)]))


@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_merging_equals_the_adapter_and_is_undone_to_the_bit(family: str, tmp_path: Path) -> None:
    model = load_tiny(tmp_path / family, family)
    adapters = [random_adapter(model, f"a{i}", rank=4, seed=i) for i in range(2)]
    tokens = torch.arange(3, 20)[None]
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    with torch.no_grad():
        adapted = in_peft(model, adapters[0])
        expected = adapted(input_ids=tokens).logits
        adapted.unload()
        with merged(model, adapters[:1]):
            assert torch.allclose(model(input_ids=tokens).logits, expected, atol=1e-5)
            with merged(model, adapters[1:]):
                twice = model(input_ids=tokens).logits
            assert torch.allclose(model(input_ids=tokens).logits, expected, atol=1e-5)
        with merged(model, adapters):
            assert torch.equal(model(input_ids=tokens).logits, twice)
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


def test_full_finetuning_trains_all_weights_and_leaves_the_model(model: Any) -> None:
    made = with_settings(recipe(1, VOCAB), full=True, learning_rate=1e-2)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    results = {a.recipe_id: a for a in BatchedInnerLoop(model).adapt([made, recipe(0, VOCAB)], BARE)}
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())
    assert not any(weight.requires_grad for weight in model.parameters())
    trained = results["r1"]
    assert isinstance(trained, FullWeights)
    assert set(trained.weights) == set(before)
    assert trained.losses[-1] < trained.losses[0]

    # What the adapter says is what the model with those weights says, beside adapters of low rank.
    prompt = (5, 6, 7, 8)
    generator = BatchedGenerator(model, make_tiny_tokenizer(vocab=VOCAB), frozenset())
    names = [None, "r1", "r0", "r1"]
    models = under(results)
    requests = [Request(prompt, models[name], max_new_tokens=8) for name in names]
    answers = [completion.tokens for completion in generator.generate(requests)]
    with merged(model, [trained]):
        inside = generator.generate([Request(prompt, BARE, max_new_tokens=8)])[0].tokens
    assert answers[1] == answers[3] == inside
    assert answers[0] == generator.generate([Request(prompt, BARE, max_new_tokens=8)])[0].tokens
    assert answers[0] != answers[1]


def test_full_finetuning_does_not_start_from_an_adapter(model: Any) -> None:
    first = Adapter("a", recipe(0, VOCAB).hyperparameters.lora, random_adapter(model, "a", 4, 0).factors)
    with pytest.raises(ValueError, match="cannot start"):
        list(FullInnerLoop(model).adapt([replace(with_settings(recipe(0, VOCAB), full=True), start=first)], BARE))
