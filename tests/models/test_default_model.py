"""The real default model, out of the user's own cache: the first run downloads about 93 MB."""

from __future__ import annotations

import json
from typing import Any

import pytest

from selfedit.models import DEFAULT_MODEL, BaseModel, load
from selfedit.models.bundled import BUNDLED
from selfedit.models.cache import MANIFEST


@pytest.fixture(autouse=True)
def home() -> None:
    """Leave `SELFEDIT_HOME` as it is, unlike the other tests here."""


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return load(DEFAULT_MODEL, device="cpu", dtype="float32")


def test_it_is_configured_as_smollm2_instruct_is(base: BaseModel) -> None:
    config = base.model.config
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (1, 2, 2)
    assert config.rope_parameters["rope_theta"] == 100_000 and config.tie_word_embeddings
    assert base.context_window == 8192 and base.parameters == 134_515_008 and base.stop_token_ids == (2,)
    manifest = json.loads((base.folder / MANIFEST).read_text())
    assert manifest["gguf_sha256"] == BUNDLED[DEFAULT_MODEL].gguf_sha256
    # The output head is the embedding: a second copy would add 57 MB.
    assert (base.folder / "model.safetensors").stat().st_size < 270_000_000


def test_its_tokenizer_reads_as_it_was_trained(base: BaseModel) -> None:
    tokenizer = base.tokenizer
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert tokenizer.pad_token == "<|im_end|>"
    assert tokenizer("a\n\n1. foo 42").tokens() == ["a", "ĊĊ", "1", ".", "Ġfoo", "Ġ", "4", "2"]


def test_it_answers_a_question_and_ends_its_turn(base: BaseModel) -> None:
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    tokenizer: Any = base.tokenizer
    model: Any = base.model
    inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert tokenizer.decode(inputs["input_ids"][0]).startswith("<|im_start|>system\nYou are a helpful AI")
    generated = model.generate(**inputs, max_new_tokens=20, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(generated) and generated[-1] == tokenizer.eos_token_id
