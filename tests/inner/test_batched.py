"""The batched inner loop equals PEFT and a plain loop, whatever else is in the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from selfedit.inner.backward import Piece, accumulate_gradients
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.inner.peft import PeftInnerLoop
from selfedit.multilora.model import MultiLoraModel
from selfedit.types import Adapter, Example, Hyperparameters, Model, Recipe
from tests.engine import VOCAB, in_peft, load_tiny, random_adapter, train, under
from tests.recipes import recipe
from tests.tiny import FAMILIES


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_tiny(tmp_path_factory.mktemp("llama"))


def flat(adapter: Adapter) -> torch.Tensor:
    """All factors of an adapter, one after another."""
    return torch.cat([part.flatten() for f in adapter.factors.values() for part in (f.a_RI, f.b_OR)])


def distance(left: torch.Tensor, right: torch.Tensor) -> float:
    """Relative to the size of `right`."""
    return float((left - right).norm() / right.norm())


def peft_gradients(model: Any, adapter: Adapter, examples: list[tuple[Example, float]]) -> dict[str, torch.Tensor]:
    """Gradients of one adapter by PEFT alone, one sequence a pass, by layer and factor."""
    peft_model = in_peft(model, adapter)
    layers = {name: peft_model.base_model.model.get_submodule(name) for name in adapter.factors}
    for example, weight in examples:
        tokens = torch.tensor([example.tokens])
        loss_T = nn.functional.cross_entropy(
            peft_model(input_ids=tokens).logits[0, :-1], tokens[0, 1:], reduction="none"
        )
        ((loss_T * torch.tensor(example.weights[1:])).sum() * weight).backward()
    gradients = {}
    for name, layer in layers.items():
        gradients[f"{name}.a"] = layer.lora_A["default"].weight.grad.clone()
        gradients[f"{name}.b"] = layer.lora_B["default"].weight.grad.clone()
    peft_model.unload()
    return gradients


@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_equal_peft(family: str, tmp_path: Path) -> None:
    model = load_tiny(tmp_path / family, family)
    adapters = [random_adapter(model, f"a{i}", rank=(4, 8, 2, 8)[i], seed=i) for i in range(4)]
    pieces = [Piece(slot, example, 0.1 * (slot + 1)) for slot in range(4) for example in recipe(slot, VOCAB).examples]
    multi = MultiLoraModel(model, 4, 8, list(adapters[0].factors), train=True)
    for slot, adapter in enumerate(adapters):
        multi.load(slot, adapter)
    accumulate_gradients(multi, pieces)
    batched = [multi.gradients(slot, adapters[slot].lora.rank) for slot in range(4)]
    multi.unwrap()
    for slot, adapter in enumerate(adapters):
        alone = peft_gradients(model, adapter, [(p.example, p.weight) for p in pieces if p.slot == slot])
        for name, factors in batched[slot].items():
            assert distance(factors.a_RI, alone[f"{name}.a"]) < 1e-5
            assert distance(factors.b_OR, alone[f"{name}.b"]) < 1e-5


def test_adapters_equal_peft(model: Any) -> None:
    """Different data, lengths, ranks, batch sizes, schedules and step counts at once, with slots refilled."""
    recipes = [recipe(i, VOCAB, rank=(8, 4, 8, 2, 8)[i], rslora=i == 3) for i in range(5)]
    batched = {a.recipe_id: a for a in train(BatchedInnerLoop(model, slots=3, token_budget=60), recipes)}
    for alone in train(PeftInnerLoop(model), recipes):
        together = batched[alone.recipe_id]
        assert together.factors.keys() == alone.factors.keys()
        assert together.losses == pytest.approx(alone.losses, abs=2e-5)
        # Adam divides by the gradient's size, so rounding shows where a gradient is all but zero.
        assert distance(flat(together), flat(alone)) < 1e-3


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_trajectory_is_within_pefts_own_noise(number: int, tmp_path: Path) -> None:
    """PEFT against PEFT, with another way to compute the same attention, differs by rounding alone: the yardstick."""
    model = load_tiny(tmp_path)
    long = recipe(number, VOCAB, learning_rate=3e-3, epochs=12)
    ours = next(train(BatchedInnerLoop(model, slots=4), [long, *(recipe(i, VOCAB, epochs=12) for i in range(5, 8))]))
    while ours.recipe_id != long.id:
        ours = {a.recipe_id: a for a in train(BatchedInnerLoop(model, slots=4), [long, recipe(5, VOCAB)])}[long.id]
    model.set_attn_implementation("sdpa")
    one = next(train(PeftInnerLoop(model), [long]))
    model.set_attn_implementation("eager")
    other = next(train(PeftInnerLoop(model), [long]))
    noise = distance(flat(other), flat(one))
    assert 0 < noise < 1e-2
    assert distance(flat(ours), flat(one)) < 4 * noise


def test_answers_equal_peft(model: Any) -> None:
    from selfedit.generate.base import Request
    from selfedit.generate.batched import BatchedGenerator
    from tests.tiny import make_tiny_tokenizer

    recipes = [recipe(i, VOCAB, learning_rate=1e-2, epochs=6) for i in range(4)]
    together = {a.recipe_id: a for a in train(BatchedInnerLoop(model), recipes)}
    alone = {a.recipe_id: a for a in train(PeftInnerLoop(model), recipes)}
    generator = BatchedGenerator(model, make_tiny_tokenizer(vocab=VOCAB), frozenset())

    def answers_of(models: dict[str | None, Model]) -> list[tuple[int, ...]]:
        requests = [Request(r.examples[0].tokens[:4], models[r.id], max_new_tokens=12) for r in recipes]
        return [completion.tokens for completion in generator.generate(requests)]

    answers = answers_of(under(together))
    assert answers == answers_of(under(alone))
    assert len(set(answers)) > 1


@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_an_adapter_does_not_depend_on_its_neighbours(model: Any, budget: int) -> None:
    first = recipe(1, VOCAB)
    alone = next(train(BatchedInnerLoop(model), [first]))
    others = [recipe(i, VOCAB, learning_rate=1e-2) for i in range(2, 8)]
    for order in ([first, *others], [*others, first]):
        adapters = {a.recipe_id: a for a in train(BatchedInnerLoop(model, slots=4, token_budget=budget), order)}
        assert distance(flat(adapters[first.id]), flat(alone)) < 1e-3


def test_the_same_run_is_bitwise_the_same(model: Any) -> None:
    recipes = [recipe(i, VOCAB) for i in range(4)]
    runs = [{a.recipe_id: flat(a) for a in train(BatchedInnerLoop(model, slots=2), recipes)} for _ in range(2)]
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_other_targets_train_in_one_call(model: Any) -> None:
    recipes = [recipe(0, VOCAB), recipe(1, VOCAB, targets=("q_proj", "v_proj"))]
    adapters = {a.recipe_id: a for a in train(BatchedInnerLoop(model), recipes)}
    assert {name.rpartition(".")[2] for name in adapters["r1"].factors} == {"q_proj", "v_proj"}
    assert len(adapters["r0"].factors) > len(adapters["r1"].factors)


def test_the_model_is_left_as_it_was(model: Any) -> None:
    tokens = torch.arange(10)[None]
    before = model(input_ids=tokens).logits
    names = [name for name, _ in model.named_modules()]
    loop = train(BatchedInnerLoop(model, slots=2), [recipe(i, VOCAB) for i in range(4)])
    next(loop)
    loop.close()  # type: ignore[attr-defined]
    assert [name for name, _ in model.named_modules()] == names
    assert torch.equal(model(input_ids=tokens).logits, before)


def test_a_recipe_without_labels_is_refused(model: Any) -> None:
    empty = Recipe("empty", (), Hyperparameters(), 0)
    with pytest.raises(ValueError, match="no examples"):
        list(train(BatchedInnerLoop(model), [empty]))
    unlabelled = Recipe("unlabelled", (Example((1, 2, 3), (1.0, 0.0, 0.0)),), Hyperparameters(), 0)
    with pytest.raises(ValueError, match="bears loss"):
        list(train(BatchedInnerLoop(model), [unlabelled]))
