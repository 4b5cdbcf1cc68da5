"""With adapters on upper layers only, what the lower ones make of an example is worked out once, and none differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from selfedit.inner.batched import BatchedInnerLoop
from selfedit.inner.kept_states import KeptStates
from selfedit.inner.peft import PeftInnerLoop
from selfedit.multilora.lower_layers import upper_half
from selfedit.multilora.model import MultiLoraModel, resolve_targets
from selfedit.types import UPPER_HALF, Recipe
from tests.engine import VOCAB, load_tiny, train
from tests.inner.test_batched import distance, flat
from tests.recipes import recipe
from tests.tiny import FAMILIES


def recipes(count: int) -> list[Recipe]:
    return [recipe(i, VOCAB, targets=UPPER_HALF) for i in range(count)]


def first_block(model: Any) -> Any:
    """The decoder layer below all that is adapted."""
    decoder = model.base_model
    return decoder.h[0] if hasattr(decoder, "h") else decoder.layers[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_equal_peft(family: str, tmp_path: Path, two_threads: None) -> None:
    model = load_tiny(tmp_path / family, family)
    before = dict(vars(first_block(model)))
    passes: list[None] = []
    counting = first_block(model).mlp.register_forward_pre_hook(lambda *_: passes.append(None))
    given = recipes(4)
    batched = {a.recipe_id: a for a in train(BatchedInnerLoop(model, slots=3, token_budget=60), given)}
    counting.remove()
    assert vars(first_block(model)).keys() == before.keys()
    for alone in train(PeftInnerLoop(model), given):
        together = batched[alone.recipe_id]
        assert together.factors.keys() == alone.factors.keys()
        assert together.losses == pytest.approx(alone.losses, abs=2e-5)
        assert distance(flat(together), flat(alone)) < 1e-3
    # Trying whether it works, working out what is kept (each recipe in passes of 60 tokens), measuring memory.
    tokens = sum(len(example.tokens) for each in given for example in each.examples)
    assert len(passes) <= 3 + len(given) + tokens // 30 + 1


def test_what_has_no_room_is_worked_out_in_each_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_tiny(tmp_path)
    kept = {a.recipe_id: flat(a) for a in train(BatchedInnerLoop(model), recipes(3))}
    width = model.config.hidden_size * model.dtype.itemsize
    room = sum(len(example.tokens) for example in recipes(3)[0].examples) * width
    monkeypatch.setattr("selfedit.inner.kept_states._MOST_BYTES", room)
    for adapter in train(BatchedInnerLoop(model), recipes(3)):
        assert distance(flat(adapter), kept[adapter.recipe_id]) < 1e-3


def test_a_model_whose_layers_know_more_keeps_nothing(tmp_path: Path) -> None:
    model = load_tiny(tmp_path)
    later = model.base_model.layers[1].mlp
    left: dict[str, torch.Tensor] = {}
    first_block(model).mlp.register_forward_hook(lambda module, given, out: left.update(below=out))
    later.register_forward_hook(lambda module, given, out: out + left["below"])
    multi = MultiLoraModel(model, 1, 4, resolve_targets(model, UPPER_HALF), train=True)
    examples = recipes(1)[0].examples
    states = KeptStates(multi, 60)
    states.open(0, examples)
    assert multi.has_lower_layers and states.of(0, examples[0]) is None
    multi.unwrap()


def test_what_is_kept_is_let_go(tmp_path: Path) -> None:
    model = load_tiny(tmp_path)
    multi = MultiLoraModel(model, 1, 4, resolve_targets(model, UPPER_HALF), train=True)
    examples = recipes(1)[0].examples
    states = KeptStates(multi, 60)
    states.open(0, examples)
    found = states.of(0, examples[0])
    assert found is not None and found.shape == (len(examples[0].tokens), model.config.hidden_size)
    states.close(0)
    assert states.of(0, examples[0]) is None
    multi.unwrap()
    assert not multi.has_lower_layers


def test_the_upper_half() -> None:
    names = [f"model.layers.{i}.mlp.up_proj" for i in range(5)] + ["lm_head"]
    assert upper_half(names) == [*names[2:5], "lm_head"]
    assert upper_half(["lm_head"]) == ["lm_head"]
