"""The wrapper: which layers, which models, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from selfedit.multilora.linear import frozen_linear
from selfedit.multilora.model import MultiLoraModel, layer_shapes, resolve_targets
from tests.engine import load_tiny, random_adapter


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_tiny(tmp_path_factory.mktemp("llama"))


@pytest.mark.parametrize("targets", ["all-linear", ("q_proj", "v_proj"), r".*layers\.0\.mlp\.down_proj"])
def test_targets_are_those_of_peft(model: Any, targets: Any) -> None:
    from peft import LoraConfig, get_peft_model

    names = resolve_targets(model, targets)
    peft_targets = targets if isinstance(targets, str) else list(targets)
    peft_model: Any = get_peft_model(model, LoraConfig(r=2, target_modules=peft_targets))
    expected = [n for n, module in peft_model.base_model.model.named_modules() if hasattr(module, "lora_A")]
    peft_model.unload()
    assert names == expected
    assert "lm_head" not in names


def test_an_adapter_comes_back_as_it_went_in(model: Any) -> None:
    adapter = random_adapter(model, "a", rank=3, seed=0)
    multi = MultiLoraModel(model, 2, 8, list(adapter.factors))
    multi.load(1, adapter)
    again = multi.read(1, "a", adapter.lora)
    multi.unwrap()
    for name, factors in adapter.factors.items():
        assert torch.equal(again.factors[name].a_RI, factors.a_RI)
        assert torch.equal(again.factors[name].b_OR, factors.b_OR)


def test_an_adapter_that_does_not_fit_is_refused(model: Any) -> None:
    adapter = random_adapter(model, "a", rank=8, seed=0)
    for rank, layers in ((4, list(adapter.factors)), (8, list(adapter.factors)[:1])):
        multi = MultiLoraModel(model, 1, rank, layers)
        with pytest.raises(ValueError, match="does not fit"):
            multi.load(0, adapter)
        multi.unwrap()


@pytest.mark.parametrize("rows", [1, 8, 20, 55, 56, 100])
@pytest.mark.parametrize("bias", [True, False])
def test_both_products_are_equal(rows: int, bias: bool) -> None:
    layer = torch.nn.Linear(24, 40, bias=bias).requires_grad_(False)
    x = torch.randn(1, rows, 24)
    with torch.no_grad():
        assert torch.allclose(frozen_linear(layer, x), layer(x), atol=1e-6)


def test_shapes_of_transposed_layers(tmp_path: Path) -> None:
    gpt2 = load_tiny(tmp_path, "gpt2")
    shapes = layer_shapes(gpt2, resolve_targets(gpt2, "all-linear"))
    assert shapes["transformer.h.0.attn.c_attn"] == (32, 96)
