"""Packed, padded and alone agree, and models that cannot be packed are padded."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from selfedit.generate.base import Request
from selfedit.generate.batched import BatchedGenerator
from selfedit.inner.backward import Piece, accumulate_gradients
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.inner.peft import PeftInnerLoop
from selfedit.multilora.model import MultiLoraModel
from selfedit.multilora.padded import can_pack
from tests.engine import VOCAB, in_peft, load_tiny, random_adapter, train, under
from tests.recipes import recipe
from tests.tiny import FAMILIES, UNPACKABLE, make_tiny_tokenizer


def sequences(count: int) -> list[list[int]]:
    rng = random.Random(0)
    # Longer than the sliding window of 64 that some families have.
    return [[rng.randrange(3, VOCAB) for _ in range(rng.randint(2, 90))] for _ in range(count)]


@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_packed_padded_and_alone_agree(family: str, tmp_path: Path) -> None:
    model = load_tiny(tmp_path / family, family)
    adapter = random_adapter(model, "a", rank=4, seed=1)
    rows = sequences(5)
    slots = [0, None, 0, None, 0]
    hidden = {}
    for packed in (True, False):
        multi = MultiLoraModel(model, 1, 4, list(adapter.factors), packed=packed)
        multi.load(0, adapter)
        layout = multi.layout(list(map(len, rows)), slots)
        hidden[packed] = multi.hidden_states([token for row in rows for token in row], layout)
        multi.unwrap()
    adapted = in_peft(model, adapter)
    alone = []
    for row, slot in zip(rows, slots, strict=True):
        tokens = torch.tensor([row])
        if slot is None:
            with adapted.disable_adapter():
                alone.append(adapted.base_model.model.base_model(input_ids=tokens).last_hidden_state[0])
        else:
            alone.append(adapted.base_model.model.base_model(input_ids=tokens).last_hidden_state[0])
    adapted.unload()
    expected = torch.cat(alone)
    assert torch.allclose(hidden[True], expected, atol=2e-5)
    assert torch.allclose(hidden[False], expected, atol=2e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_packed_and_padded_agree(family: str, tmp_path: Path) -> None:
    model = load_tiny(tmp_path / family, family)
    adapter = random_adapter(model, "a", rank=4, seed=1)
    pieces = [Piece(i % 2, example, 0.1) for i, example in enumerate(recipe(3, VOCAB).examples)]
    gradients = {}
    for packed in (True, False):
        multi = MultiLoraModel(model, 2, 4, list(adapter.factors), train=True, packed=packed)
        for slot in range(2):
            multi.load(slot, adapter)
        accumulate_gradients(multi, pieces)
        gradients[packed] = multi.grads_NP.clone()
        multi.unwrap()
    assert float((gradients[True] - gradients[False]).norm() / gradients[False].norm()) < 1e-5


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("family", UNPACKABLE)
def test_models_that_cannot_be_packed_train_and_write_as_alone(family: str, tmp_path: Path) -> None:
    model: Any = load_tiny(tmp_path / family, family)
    assert not can_pack(model)
    recipes = [recipe(i, VOCAB, learning_rate=1e-2) for i in range(3)]
    together = {adapter.recipe_id: adapter for adapter in train(BatchedInnerLoop(model, 2, 60), recipes)}
    for alone in train(PeftInnerLoop(model), recipes):
        assert together[alone.recipe_id].losses == pytest.approx(alone.losses, abs=2e-4)
    prompts = [tuple(row[:12]) for row in sequences(4)]
    names = ["r0", None, "r2", "r1"]
    models = under(together)
    asked = [(prompt, models[name]) for prompt, name in zip(prompts, names, strict=True)]
    requests = [Request(*pair, max_new_tokens=3 + i) for i, pair in enumerate(asked)]
    generator = BatchedGenerator(model, make_tiny_tokenizer(vocab=VOCAB), frozenset(), max_rows=3)
    completions = generator.generate(requests)
    for request, completion in zip(requests, completions, strict=True):
        adapter = request.model.adapter
        adapted = model if adapter is None else in_peft(model, adapter)
        tokens = list(request.prompt)
        for _ in range(request.max_new_tokens):
            with torch.no_grad():
                tokens.append(int(adapted(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
        assert completion.tokens == tuple(tokens[len(request.prompt) :])
        if adapter is not None:
            adapted.unload()
