"""The size of a model, read off its files without loading them."""

from __future__ import annotations

import json
import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfedit.errors import UserError


@dataclass(frozen=True)
class ModelShape:
    """`widths` is the sum of inputs and outputs of all layers that LoRA adapts: rank times it is an adapter's size."""

    parameters: int
    widths: int


# smollm2-135m, for which there is a name and no file yet.
_KNOWN = {"smollm2-135m": ModelShape(134_515_008, 305_280)}
_SIZE_IN_NAME = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([mb])(?![a-z0-9])", re.IGNORECASE)


def read_shape(folder: Path) -> ModelShape:
    """The shape of the model in a folder. Raises UserError when its weights are damaged."""
    parameters = widths = 0
    for file in sorted(folder.glob("*.safetensors")):
        for name, sizes in _tensors(file).items():
            parameters += math.prod(sizes)
            if len(sizes) == 2 and "embed" not in name and "lm_head" not in name and not name.startswith("wte"):
                widths += sum(sizes)
    return ModelShape(parameters, widths)


def guess_shape(name: str) -> ModelShape | None:
    """What a model's name says, such as the 0.5B in Qwen2.5-0.5B; None if it says nothing."""
    if name in _KNOWN:
        return _KNOWN[name]
    match = _SIZE_IN_NAME.search(name)
    if match is None:
        return None
    parameters = float(match[1]) * (1e9 if match[2].lower() == "b" else 1e6)
    # In a transformer of usual proportions the widths grow as the root of parameters times layers, about 25.
    return ModelShape(round(parameters), round(5 * math.sqrt(parameters * 25)))


def _tensors(file: Path) -> dict[str, list[int]]:
    """The shapes in a safetensors file, by name: its header, and nothing behind it."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header: dict[str, Any] = json.loads(stream.read(length))
        return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, struct.error, MemoryError) as error:
        raise UserError(f"Cannot read {file}: it is damaged. Download or save the model again.") from error
