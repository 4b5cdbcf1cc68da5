"""Dequantises a GGUF file into a folder of bf16 safetensors that transformers loads like any other model."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfedit.errors import UserError
from selfedit.files.hashing import sha256_of_file
from selfedit.models.cache import MANIFEST
from selfedit.models.quiet import quiet_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# llama.cpp's names of the pre-tokenizers that take digits one by one. The GGUF loader of transformers 5.23
# does not know them: "\n\n1" would come out in other tokens than the ones that the model was trained with.
_DIGIT_SPLITTERS = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}


@dataclass(frozen=True)
class GgufHeader:
    """What a conversion has to know of a GGUF file beforehand."""

    pre_tokenizer: str | None
    end_of_turn: int | None


def read_header(gguf: Path) -> GgufHeader:
    """Read a GGUF file's metadata. Raises UserError when the file is none, or is cut off."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(gguf)
        pre = reader.get_field("tokenizer.ggml.pre")
        turn = reader.get_field("tokenizer.ggml.eot_token_id")
        return GgufHeader(
            pre_tokenizer=None if pre is None else bytes(pre.parts[pre.data[0]]).decode(),
            end_of_turn=None if turn is None else int(turn.parts[turn.data[0]][0]),
        )
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise UserError(
            f"Cannot read {gguf} as GGUF: {_first_line(error)}. The file may be cut off; download it again."
        ) from error


def convert(gguf: Path, folder: Path, *, source: str, sha256: str) -> None:
    """Write the model in `gguf` to the new folder `folder`, with a manifest that names `source` and `sha256`.

    Raises UserError when the file is damaged or transformers cannot read the model in it.
    """
    header = read_header(gguf)
    try:
        model, tokenizer = _load(gguf)
    except (ValueError, KeyError, OSError, ImportError, RuntimeError) as error:
        raise UserError(
            f"Cannot convert {gguf}: {_first_line(error)}. "
            "Use a GGUF file of another architecture, or the model's safetensors folder."
        ) from error
    _repair(model, tokenizer, header)
    with quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    weights = {path.name: sha256_of_file(path) for path in sorted(folder.glob("*.safetensors"))}
    versions = {name: importlib.metadata.version(name) for name in ("transformers", "torch", "selfedit")}
    manifest = {"source": source, "gguf_sha256": sha256, "versions": versions, "weights_sha256": weights}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _load(gguf: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True, "trust_remote_code": False}
    # Releases before GgufConfig always dequantise; those with it keep the blocks unless told otherwise.
    config = getattr(transformers, "GgufConfig", None)
    dequantize = {} if config is None else {"quantization_config": config(dequantize=True)}
    # The loader draws a bar of its own, which no setting turns off.
    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.bfloat16, **dequantize, **options)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **options)
    return model, tokenizer


def _repair(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, header: GgufHeader) -> None:
    """Set right what GGUF files do not carry or the loader does not take over."""
    from tokenizers import pre_tokenizers

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None and header.pre_tokenizer in _DIGIT_SPLITTERS:
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    config, generation = model.config, model.generation_config
    if getattr(config, "quantization_config", None) is not None:
        del config.quantization_config  # The weights are dense now.
    # The name in a GGUF file's metadata is free text, and transformers would take it for a path.
    config.__dict__.pop("_model_name_or_path", None)
    context = getattr(config, "max_position_embeddings", None)
    if isinstance(context, int):
        tokenizer.model_max_length = context
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if (value := getattr(tokenizer, key)) is not None:
            setattr(config, key, value)
            setattr(generation, key, value)
    if header.end_of_turn not in (None, tokenizer.eos_token_id):
        # A chat model of this kind ends its turn with one token and a document with another.
        stops = [tokenizer.eos_token_id, header.end_of_turn]
        generation.eos_token_id = [token for token in stops if token is not None]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
