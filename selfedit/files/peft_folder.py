"""Adapters as folders that plain PEFT loads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfedit.errors import UserError
from selfedit.files.disk import reading
from selfedit.files.serialize import decode, encode
from selfedit.types import Adapter, LoraFactors, LoraSpec

if TYPE_CHECKING:
    import torch

ADAPTER_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"
FACTS_FILE = "selfedit.json"
"""What PEFT has no place for. Not in the metadata of the weights: safetensors writes that in a random order."""

_KEY = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")

# Settings of PEFT that change what the two factors mean, or add weights beside them.
_UNSUPPORTED = ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save", "trainable_token_indices", "lora_bias")


def save_adapter(adapter: Adapter, folder: Path, base_name: str) -> None:
    """Write an adapter into an existing folder, the same bytes each time. Raises OSError or SafetensorError.

    Args:
        adapter: the weights; they are stored in the type that they have.
        folder: where to.
        base_name: the base model's name, which PEFT only passes on.
    """
    from peft import LoraConfig
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    for name, factors in adapter.factors.items():
        for letter, tensor in (("A", factors.a_RI), ("B", factors.b_OR)):
            # A copy: safetensors refuses tensors that share their memory.
            tensors[f"base_model.model.{name}.lora_{letter}.weight"] = tensor.detach().cpu().clone().contiguous()
    save_file(tensors, folder / ADAPTER_FILE, metadata={"format": "pt"})

    lora = adapter.lora
    # PEFT takes any number but declares a whole one, and other readers may insist on it.
    alpha: Any = int(lora.alpha) if lora.alpha == int(lora.alpha) else lora.alpha
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=alpha,
        lora_dropout=lora.dropout,
        use_rslora=lora.rslora,
        # Whole names, so that PEFT wraps these layers and no others.
        target_modules=sorted(adapter.factors),
        fan_in_fan_out=adapter.fan_in_fan_out,
        base_model_name_or_path=base_name,
        task_type="CAUSAL_LM",
        inference_mode=True,
    )
    config.save_pretrained(str(folder))
    _sort_config(folder / CONFIG_FILE)
    facts = {"recipe_id": adapter.recipe_id, "target_modules": lora.target_modules, "losses": adapter.losses}
    (folder / FACTS_FILE).write_bytes(encode(facts, indent=2) + b"\n")


def load_adapter(folder: Path) -> Adapter:
    """Read an adapter from a PEFT folder, written by selfedit or not.

    Raises UserError when it holds no LoRA adapter, one of a kind that selfedit does not run, or one not whole.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = _config(folder)
    weights = folder / ADAPTER_FILE
    if not weights.is_file():
        raise _refusal(folder, f"it has no {ADAPTER_FILE}")
    with reading(weights):
        try:
            tensors = load_file(weights)
        except SafetensorError as error:
            raise _refusal(folder, f"{ADAPTER_FILE} is damaged ({error})") from error
    factors = _factors(folder, tensors, config["r"])
    facts = _facts(folder)
    targets = facts.get("target_modules", list(factors))
    lora = LoraSpec(
        rank=config["r"],
        alpha=float(config["lora_alpha"]),
        dropout=float(config.get("lora_dropout") or 0.0),
        rslora=bool(config.get("use_rslora")),
        target_modules=targets if isinstance(targets, str) else tuple(targets),
    )
    losses, transposed = tuple(facts.get("losses", ())), bool(config.get("fan_in_fan_out"))
    return Adapter(str(facts.get("recipe_id", "")), lora, factors, losses, transposed)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise _refusal(folder, f"it has no {CONFIG_FILE}")
    with reading(path):
        data = path.read_bytes()
    try:
        config = decode(dict[str, Any], data)
    except ValueError as error:
        raise _refusal(folder, f"{CONFIG_FILE} is damaged ({error})") from error
    if config.get("peft_type") != "LORA":
        raise _refusal(folder, f"its peft_type is {config.get('peft_type')!r}, not 'LORA'")
    if unsupported := [name for name in _UNSUPPORTED if config.get(name)]:
        raise _refusal(folder, f"it uses {unsupported[0]}, which selfedit does not run")
    if config.get("bias", "none") != "none":
        raise _refusal(folder, "it trains biases, which selfedit does not run")
    if type(config.get("r")) is not int or not isinstance(config.get("lora_alpha"), int | float):
        raise _refusal(folder, f"{CONFIG_FILE} does not say r and lora_alpha")
    return config


def _factors(folder: Path, tensors: dict[str, torch.Tensor], rank: int) -> dict[str, LoraFactors]:
    """Pair the tensors up by layer, in the order of their names."""
    pairs: dict[str, dict[str, torch.Tensor]] = {}
    for key in sorted(tensors):
        match = _KEY.fullmatch(key)
        if match is None:
            raise _refusal(folder, f"{ADAPTER_FILE} has the unexpected tensor {key!r}")
        pairs.setdefault(match[1], {})[match[2]] = tensors[key]
    if not pairs:
        raise _refusal(folder, f"{ADAPTER_FILE} is empty")
    factors = {}
    for name, pair in pairs.items():
        if len(pair) != 2:
            raise _refusal(folder, f"{ADAPTER_FILE} lacks one of the two factors of {name}")
        a_RI, b_OR = pair["A"], pair["B"]
        if a_RI.ndim != 2 or b_OR.ndim != 2 or not a_RI.shape[0] == b_OR.shape[1] == rank:
            raise _refusal(folder, f"the factors of {name} are not of rank {rank}")
        factors[name] = LoraFactors(a_RI, b_OR)
    return factors


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / FACTS_FILE
    if not path.is_file():
        return {}
    with reading(path):
        data = path.read_bytes()
    try:
        return decode(dict[str, Any], data)
    except ValueError as error:
        raise _refusal(folder, f"{FACTS_FILE} is damaged ({error})") from error


def _sort_config(path: Path) -> None:
    """Put PEFT's sets, which it writes in a random order, in order."""
    config = json.loads(path.read_bytes())
    config["target_modules"] = sorted(config["target_modules"])
    path.write_bytes(encode(config, indent=2) + b"\n")


def _refusal(folder: Path, why: str) -> UserError:
    return UserError(f"{folder} is not a LoRA adapter that selfedit can load: {why}. Name another, or save it again.")
