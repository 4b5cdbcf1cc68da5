from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from selfedit.errors import UserError
from selfedit.models import fingerprint
from selfedit.multilora.model import resolve_targets
from selfedit.store.export import export
from selfedit.store.store import Store
from selfedit.types import Knowledge, ModelRef, Version
from tests.store.make import contents, layer_shapes, make_adapter, make_version
from tests.tiny import make_tiny_model


def load(folder: Path) -> Any:
    auto: Any = AutoModelForCausalLM
    return auto.from_pretrained(folder, local_files_only=True).eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model(input_ids=torch.tensor([[1, 17, 42, 8]])).logits
    return result


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFEDIT_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def base(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return make_tiny_model(tmp_path / "base", family=getattr(request, "param", "llama"))


@pytest.fixture
def version(store: Store, base: Path) -> Version:
    model = load(base)
    made = replace(make_version(), base=ModelRef("tiny", fingerprint(base)))
    adapter = make_adapter(layer_shapes(model, resolve_targets(model, "all-linear")))
    return store.commit(made, replace(adapter, fan_in_fan_out=model.config.model_type == "gpt2"))


def test_adapter(store: Store, version: Version, base: Path, tmp_path: Path) -> None:
    target = export(store, version, tmp_path / "out" / "adapter")
    # Neither the documents nor the self-edits leave the store with it.
    assert sorted(contents(target)) == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    kept, exported = contents(store.adapter_folder("v1")), contents(target)
    assert all(kept[name] == exported[name] for name in ("adapter_config.json", "adapter_model.safetensors"))
    # In the store the card says how to take the weights out, and beside them how to load them.
    in_store = (store.path / "versions" / "v1" / "README.md").read_text(encoding="utf-8")
    beside = (target / "README.md").read_text(encoding="utf-8")
    assert "selfedit export v1 DIR" in in_store and "THIS_FOLDER" not in in_store
    assert "THIS_FOLDER" in beside
    assert [path.name for path in target.parent.iterdir()] == ["adapter"]
    PeftModel.from_pretrained(load(base), str(target))


@pytest.mark.parametrize("base", ["llama", "gpt2"], indirect=True)
def test_merged(store: Store, version: Version, base: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    target = export(store, version, tmp_path / "full", merged=True, base_folder=base)
    merged = load(target)
    assert merged.dtype == torch.float32
    expected = PeftModel.from_pretrained(load(base), str(store.adapter_folder("v1"))).eval()
    torch.testing.assert_close(logits(merged), logits(expected), rtol=1e-4, atol=1e-4)
    assert (logits(merged) - logits(load(base))).abs().max() > 0.1
    assert (
        AutoTokenizer.from_pretrained(target)("a boat")["input_ids"]
        == AutoTokenizer.from_pretrained(base)("a boat")["input_ids"]
    )
    assert "library_name: transformers" in (target / "README.md").read_text(encoding="utf-8")
    assert not [path for path in target.iterdir() if path.suffix in (".bin", ".pt")]


def test_refusals_change_nothing(store: Store, version: Version, base: Path, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("mine")
    before = contents(tmp_path)
    refusals: list[tuple[Path, dict[str, Any], str]] = [
        (tmp_path / "used", {}, "exists and is not an empty folder"),
        (tmp_path / "used" / "file", {}, "exists and is not an empty folder"),
        (tmp_path / "used" / "file" / "x", {}, "Cannot write to .*File exists. Check the path, or"),
        (store.path / "versions" / "v7", {}, "lies in the store"),
        (tmp_path / "full", {"merged": True, "base_folder": tmp_path / "used"}, "No .*safetensors file in"),
    ]
    for target, options, why in refusals:
        with pytest.raises(UserError, match=why) as caught:
            export(store, version, target, **options)
        assert "\n" not in str(caught.value)
    (item,) = version.knowledge.learnt
    gone = Knowledge("joint", (replace(item, adapter="5" * 64),))
    with pytest.raises(UserError, match=r"Version v1 cannot be used\. The adapter 5{16}… is missing from"):
        export(store, replace(version, knowledge=gone), tmp_path / "out")
    with pytest.raises(UserError, match="Version v1 knows nothing, so that there is nothing to export"):
        export(store, replace(version, knowledge=Knowledge("routed")), tmp_path / "out")
    with pytest.raises(ValueError, match="base_folder"):
        export(store, version, tmp_path / "out", merged=True)
    assert contents(tmp_path) == before
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name or path.name in ("full", "out")]


def test_another_base(store: Store, version: Version, tmp_path: Path) -> None:
    other = make_tiny_model(tmp_path / "other", seed=1)
    with pytest.raises(UserError, match="Version v1 was made for tiny, not for"):
        export(store, version, tmp_path / "out", merged=True, base_folder=other)
    assert not (tmp_path / "out").exists()


def test_damaged_adapter_is_not_exported(store: Store, version: Version, tmp_path: Path) -> None:
    file = store.adapter_folder("v1") / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match="was changed or damaged"):
        export(store, version, tmp_path / "out")
    assert not (tmp_path / "out").exists()
