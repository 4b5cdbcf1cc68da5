"""Loads a base model into memory, ready for inference and frozen."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfedit.errors import UserError, nearest
from selfedit.models.fingerprint import fingerprint
from selfedit.models.quiet import quiet_transformers
from selfedit.progress import Progress, QuietProgress
from selfedit.turns import Turns
from selfedit.types import ModelRef

# Importing this module must not import torch and transformers, which takes seconds: the functions do.
if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DTYPES = ("float32", "bfloat16", "float16")

_DEFAULT_CONTEXT = 2048


@dataclass(frozen=True)
class BaseModel:
    """A loaded base model with its tokenizer. Its weights are frozen; adapters are trained beside them.

    Attributes:
        turns: what a pass over it has to ask for; by default nobody else uses its weights.
    """

    name: str
    folder: Path
    fingerprint: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    has_chat_template: bool
    turns: Turns = field(default_factory=Turns)

    def twin(self, turns: Turns) -> BaseModel:
        """The same for another thread: a model and a tokenizer of its own, over the same weights in memory.

        The model has to be bare at this time. Either may then be wrapped, and have updates merged, by itself.
        """
        from torch import nn

        weights = {id(weight): nn.Parameter(weight.data, requires_grad=False) for weight in self.model.parameters()}
        model, tokenizer = copy.deepcopy(self.model, weights), copy.deepcopy(self.tokenizer)
        return replace(self, model=model, tokenizer=tokenizer, turns=turns)

    @property
    def ref(self) -> ModelRef:
        """The same by name and hash."""
        return ModelRef(self.name, self.fingerprint)

    @property
    def context_window(self) -> int:
        """How many tokens the model was made to read at once; 2048 where its configuration does not say."""
        config = self.model.config.get_text_config()
        for key in ("max_position_embeddings", "n_positions", "seq_length"):
            value = getattr(config, key, None)
            if isinstance(value, int) and value > 0:
                return value
        return _DEFAULT_CONTEXT

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are stored and computed in."""
        return next(self.model.parameters()).dtype

    @property
    def parameters(self) -> int:
        """The number of weights, shared ones counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def has_conv1d(self) -> bool:
        """Whether its layers are GPT-2's Conv1D, whose weights PEFT has to be told are transposed."""
        from transformers.pytorch_utils import Conv1D

        return any(isinstance(module, Conv1D) for module in self.model.modules())

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """The tokens that end an answer; the first is the one to write where an end is trained on.

        That is the tokenizer's own: Llama's generation configuration names three, and only `<|eot_id|>` ends a turn.
        """
        own, others = self.tokenizer.eos_token_id, getattr(self.model.generation_config, "eos_token_id", None)
        named = others if isinstance(others, list) else [others]
        ids = [id for id in (own, *sorted(id for id in named if id is not None)) if id is not None]
        return tuple(dict.fromkeys(ids))


def load(
    name: str, *, device: str | None = None, dtype: str | None = None, progress: Progress | None = None
) -> BaseModel:
    """Load the base model `name`, fetching or converting it first where that is needed.

    `device` is one of torch's, by default a CUDA GPU where there is one; `dtype` is one of `DTYPES`, by default
    what is fastest there. Raises UserError for an unknown name, device or dtype and for a model that is not whole.
    """
    from selfedit.models import resolve

    source = resolve(name)
    place, kind = _device(device), _dtype(dtype)
    source.check()
    folder = source.folder(progress or QuietProgress())
    kind = kind or default_dtype(place)
    try:
        with quiet_transformers():
            model, tokenizer = _read(folder, kind)
    except UserError:
        raise
    except Exception as error:  # Whatever transformers stumbles over in a folder that a user named.
        raise _unreadable(folder, error) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.requires_grad_(False)
    return BaseModel(
        name=source.name,
        folder=folder,
        fingerprint=fingerprint(folder),
        model=model.eval().to(place),
        tokenizer=tokenizer,
        has_chat_template=bool(tokenizer.chat_template),
    )


def outline(name: str, *, progress: Progress | None = None) -> BaseModel:
    """The model without its weights, in memory for none of them: what can be said of it before it is loaded.

    Raises as `load` does.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    from selfedit.models import resolve

    source = resolve(name)
    source.check()
    folder = source.outline(progress or QuietProgress())
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    auto: Any = AutoModelForCausalLM
    try:
        with quiet_transformers(), torch.device("meta"):
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            config = AutoConfig.from_pretrained(folder, **options)
            model = auto.from_config(config, dtype=default_dtype(default_device()), trust_remote_code=False)
            if (folder / "generation_config.json").exists():
                model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # Whatever transformers stumbles over in a folder that a user named.
        raise _unreadable(folder, error) from error
    model.requires_grad_(False)
    return BaseModel(source.name, folder, "", model.eval(), tokenizer, bool(tokenizer.chat_template))


def _unreadable(folder: Path, error: Exception) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return UserError(
        f"Cannot load the model in {folder}: {reason}. Check that it is a causal language model that "
        "transformers knows without code of its own."
    )


def _read(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    # Its type says that it returns a model alone, which is not so with the loading info.
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
    )
    model, info = loaded
    if missing := sorted(info["missing_keys"]):
        # transformers would fill these with random numbers.
        raise UserError(
            f"The weights in {folder} lack {missing[0]} and {len(missing) - 1} more. Download or save the model again."
        )
    return model, tokenizer


def default_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on a GPU and on a CPU that is faster with it, else float32."""
    import torch

    if device.type == "cuda" or (device.type == "cpu" and cpu_prefers_bf16()):
        return torch.bfloat16
    return torch.float32


@cache
def cpu_prefers_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices clearly faster than float32. Measured once a process (~20 ms)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    if not {"avx512_bf16", "amx_bf16"} & set(flags):
        return False
    return _matmul_seconds("float32") > 1.3 * _matmul_seconds("bfloat16")


def _matmul_seconds(name: str) -> float:
    import torch

    dtype = getattr(torch, name)
    left_TI, right_IO = torch.ones(128, 512, dtype=dtype), torch.ones(512, 512, dtype=dtype)
    best = float("inf")
    for _ in range(8):
        started = time.perf_counter()
        left_TI @ right_IO
        best = min(best, time.perf_counter() - started)
    return best


def default_device() -> torch.device:
    """The GPU, where there is one."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _device(name: str | None) -> torch.device:
    import torch

    if name is None:
        return default_device()
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"Cannot use the device '{name}': {reason}. Use 'cpu', or leave it out.") from error
    return device


def _dtype(name: str | None) -> torch.dtype | None:
    import torch

    if name is not None and name not in DTYPES:
        raise UserError(f"Unknown dtype '{name}'. {nearest(name, DTYPES)}")
    return None if name is None else getattr(torch, name)
