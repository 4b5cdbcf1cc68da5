from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from selfedit.errors import UserError
from selfedit.files.peft_folder import load_adapter, save_adapter
from selfedit.multilora.model import MultiLoraModel, resolve_targets
from selfedit.multilora.packed_batch import PackedBatch
from selfedit.types import Adapter, LoraFactors, LoraSpec
from tests.store.make import contents, layer_shapes, make_adapter, same_adapter
from tests.tiny import make_tiny_model

TOKENS = [1, 17, 42, 8, 99, 5, 61]


def load_base(folder: Path) -> Any:
    auto: Any = AutoModelForCausalLM
    return auto.from_pretrained(folder, dtype=torch.float32).eval()


def our_logits(base: Any, adapter: Adapter) -> torch.Tensor:
    multi = MultiLoraModel(base, 1, adapter.lora.rank, list(adapter.factors))
    multi.load(0, adapter)
    with torch.no_grad():
        logits = multi.logits(multi.hidden_states(TOKENS, PackedBatch((len(TOKENS),), (0,), torch.device("cpu"))))
    multi.unwrap()
    return logits


def adapter_for(base: Any, lora: LoraSpec, layers: slice = slice(None)) -> Adapter:
    names = resolve_targets(base, lora.target_modules)[layers]
    return make_adapter(layer_shapes(base, names), lora=lora)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize(
    ("lora", "layers"),
    [
        (LoraSpec(rank=4, alpha=8.0), slice(None)),
        (LoraSpec(rank=8, alpha=12.5, dropout=0.1, rslora=True), slice(None)),
        (LoraSpec(rank=2, alpha=4.0), slice(1, None, 3)),  # Names whole layers only, not all of one kind.
    ],
)
def test_plain_peft_computes_the_same(tmp_path: Path, family: str, lora: LoraSpec, layers: slice) -> None:
    folder = make_tiny_model(tmp_path / "base", family=family)
    base = load_base(folder)
    adapter = adapter_for(base, lora, layers)
    (tmp_path / "adapter").mkdir()
    save_adapter(replace(adapter, fan_in_fan_out=family == "gpt2"), tmp_path / "adapter", "tiny")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        peft = PeftModel.from_pretrained(load_base(folder), str(tmp_path / "adapter")).eval()
    with torch.no_grad():
        theirs = peft(input_ids=torch.tensor([TOKENS])).logits[0].float()
        bare = base(input_ids=torch.tensor([TOKENS])).logits[0].float()
    assert set(peft.targeted_module_names) == set(adapter.factors)
    loaded = load_adapter(tmp_path / "adapter")
    assert same_adapter(loaded, adapter)
    torch.testing.assert_close(our_logits(base, loaded), theirs, rtol=1e-4, atol=1e-4)
    assert (bare - theirs).abs().max() > 0.1  # The adapter does something.


def test_the_weights_keep_their_type(tmp_path: Path) -> None:
    whole = make_adapter()
    factors = {name: LoraFactors(pair.a_RI.half(), pair.b_OR.half()) for name, pair in whole.factors.items()}
    half = Adapter("r", whole.lora, factors)
    save_adapter(half, tmp_path, "tiny")
    assert same_adapter(load_adapter(tmp_path), half)


def test_views_of_one_tensor_can_be_saved(tmp_path: Path) -> None:
    stacked = torch.randn(2, 16, 4)
    factors = {"x": LoraFactors(stacked[0].T, stacked[1]), "y": LoraFactors(stacked[1].T, stacked[0])}
    adapter = Adapter("r", LoraSpec(4, 8.0), factors)
    save_adapter(adapter, tmp_path, "tiny")
    assert same_adapter(load_adapter(tmp_path), adapter)


def test_reads_what_peft_wrote(tmp_path: Path) -> None:
    base = load_base(make_tiny_model(tmp_path / "base"))
    model = get_peft_model(base, LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj"], init_lora_weights=False))
    model.save_pretrained(str(tmp_path / "theirs"))
    adapter = load_adapter(tmp_path / "theirs")
    names = tuple(f"model.layers.{i}.self_attn.q_proj" for i in range(2))
    assert tuple(adapter.factors) == names
    assert adapter.lora == LoraSpec(rank=3, alpha=6.0, target_modules=names)
    assert adapter.recipe_id == "" and adapter.losses == ()


def config_change(**change: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    return damage


def tensor_change(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "adapter_model.safetensors"
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)

    return damage


KEY = "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda folder: (folder / "adapter_config.json").unlink(), "it has no adapter_config.json"),
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "it has no adapter_model.safetensors"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "adapter_config.json is damaged"),
        (lambda folder: (folder / "adapter_config.json").write_text("[]"), "adapter_config.json is damaged"),
        (lambda folder: (folder / "selfedit.json").write_text("x"), "selfedit.json is damaged"),
        (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"x" * 99), "safetensors is damaged"),
        (config_change(peft_type="IA3"), "its peft_type is 'IA3'"),
        (config_change(use_dora=True), "it uses use_dora"),
        (config_change(rank_pattern={"x": 2}), "it uses rank_pattern"),
        (config_change(bias="all"), "it trains biases"),
        (config_change(r=None), "does not say r and lora_alpha"),
        (config_change(r=5), "are not of rank 5"),
        (tensor_change(lambda tensors: tensors.pop(KEY)), "lacks one of the two factors of model.layers.0"),
        (tensor_change(dict.clear), "is empty"),
        (tensor_change(lambda t: t.update({"lm_head.weight": torch.ones(1)})), "unexpected tensor 'lm_head.weight'"),
        (tensor_change(lambda t: t.update({KEY: torch.ones(4)})), "are not of rank 4"),
    ],
)
def test_refuses_what_it_cannot_run(tmp_path: Path, damage: Callable[[Path], None], why: str) -> None:
    save_adapter(make_adapter(), tmp_path, "tiny")
    damage(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(UserError) as caught:
        load_adapter(tmp_path)
    message = str(caught.value)
    assert "\n" not in message and why in message
    assert message.startswith(f"{tmp_path} is not a LoRA adapter that selfedit can load: ")
    assert contents(tmp_path) == before
