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
from tests.tiny import FAMILIES, OWN_ATTENTION, make_tiny_tokenizer


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
        batch = multi.batch(list(map(len, rows)), slots)
        hidden[packed] = multi.hidden_states([token for row in rows for token in row], batch)
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


@pytest.mark.parametrize("family", [*FAMILIES, *OWN_ATTENTION])
@torch.no_grad()
def test_what_is_packed_can_be(family: str, tmp_path: Path) -> None:
    """A release of transformers may let attention be replaced that another does not."""
    model: Any = load_tiny(tmp_path / family, family)
    if family in FAMILIES:
        assert can_pack(model)
    if family == "qwen3_next":
        assert not can_pack(model)  # It carries a state from token to token.
    if can_pack(model):
        rows = sequences(3)
        multi = MultiLoraModel(model, 1, 1, [])
        hidden_TH = multi.hidden_states(
            [token for row in rows for token in row], multi.batch(list(map(len, rows)), [None] * 3)
        )
        multi.unwrap()
        alone = [model.base_model(input_ids=torch.tensor([row])).last_hidden_state[0] for row in rows]
        assert torch.allclose(hidden_TH, torch.cat(alone), atol=2e-5)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("family", OWN_ATTENTION)
def test_models_with_attention_of_their_own_train_and_write_as_alone(family: str, tmp_path: Path) -> None:
    model: Any = load_tiny(tmp_path / family, family)
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
