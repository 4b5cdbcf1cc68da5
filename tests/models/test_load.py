from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.models import BaseModel, fingerprint, load
from selfedit.models.load import cpu_prefers_bf16
from tests.tiny import FAMILIES, make_tiny_model, make_tiny_tokenizer


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_loads_frozen(family: str, tmp_path: Path) -> None:
    import torch

    folder = make_tiny_model(tmp_path / family, family=family)
    base = load(str(folder), device="cpu")
    assert isinstance(base, BaseModel)
    assert base.context_window == 4096 and base.device.type == "cpu" and base.parameters > 30_000
    assert base.dtype == (torch.bfloat16 if cpu_prefers_bf16() else torch.float32)
    assert base.fingerprint == fingerprint(folder) and base.folder == folder and base.has_chat_template
    assert not base.model.training and not any(weight.requires_grad for weight in base.model.parameters())
    assert base.stop_token_ids == (2,)


def test_the_tokenizers_own_end_is_the_one_to_write(tiny_llama: Path, tmp_path: Path) -> None:
    """Llama's generation configuration names three ends, the least of which ends a text and no turn."""
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 1, 2]}))
    assert load(str(folder)).stop_token_ids == (2, 1, 7)


def test_the_dtype_can_be_chosen(tiny_llama: Path) -> None:
    import torch

    assert load(str(tiny_llama), dtype="bfloat16").dtype == torch.bfloat16


def test_a_tokenizer_without_padding_pads_with_the_end(tiny_llama: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    tokenizer = make_tiny_tokenizer(chat_template=False)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").unlink()
    base = load(str(folder))
    assert base.tokenizer.pad_token_id == base.tokenizer.eos_token_id == 2 and not base.has_chat_template


def test_a_weight_that_is_missing_is_not_made_up(tiny_llama: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lack model\.layers\.1\.mlp\.up_proj\.weight"):
        load(str(folder))


@pytest.mark.parametrize("damage", ["config", "type", "code", "weights", "tokenizer"])
def test_a_damaged_folder_is_a_user_error(tiny_llama: Path, tmp_path: Path, damage: str) -> None:
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    if damage == "config":
        (folder / "config.json").write_text("{")
    elif damage == "type":
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "nonesuch"}))
    elif damage == "code":
        auto = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "evil", "auto_map": auto}))
        (folder / "evil.py").write_text("raise SystemExit('code of the model ran')")
    elif damage == "weights":
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    else:
        (folder / "tokenizer.json").write_text("{")
    with pytest.raises(UserError) as caught:
        load(str(folder))
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_a_wrong_device_or_dtype_is_found_before_the_model() -> None:
    with pytest.raises(UserError, match="Cannot use the device 'gpu0'"):
        load("smollm2-135m", device="gpu0")
    with pytest.raises(UserError, match=r"Unknown dtype 'bfloat15'\. Did you mean 'bfloat16'"):
        load("smollm2-135m", dtype="bfloat15")


def test_loading_is_silent(tiny_llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load(str(tiny_llama))
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
