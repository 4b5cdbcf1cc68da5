from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.models import load, resolve
from selfedit.models.cache import MANIFEST
from selfedit.models.gguf import GgufSource
from selfedit.progress import Progress
from tests.models.conftest import Notes
from tests.models.tiny_gguf import write_gguf


def test_a_converted_model_is_the_one_that_was_written(tiny_llama: Path, tiny_gguf: Path) -> None:
    """The weights are the originals rounded to bf16, so that the permutation and the tie are right, too."""
    from safetensors.torch import load_file

    base = load(str(tiny_gguf))
    ours, theirs = load_file(base.folder / "model.safetensors"), load_file(tiny_llama / "model.safetensors")
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert weight.equal(theirs[name].bfloat16()), name
    config = base.model.config
    assert config.rope_parameters["rope_theta"] == 20_000 and config.tie_word_embeddings
    assert (config.bos_token_id, config.eos_token_id, base.context_window) == (1, 2, 4096)
    assert base.has_chat_template and base.tokenizer.pad_token_id == 2 and base.stop_token_ids == (2,)
    assert not hasattr(config, "quantization_config") and base.tokenizer.model_max_length == 4096


def test_the_tokenizer_reads_as_the_original_and_splits_digits(tiny_llama: Path, tiny_gguf: Path) -> None:
    from transformers import AutoTokenizer

    ours = load(str(tiny_gguf)).tokenizer
    theirs: Any = AutoTokenizer.from_pretrained(tiny_llama)
    text = "<|im_start|>The capital  of Fránce\n\nis Paris.<|im_end|>"
    assert ours(text)["input_ids"] == theirs(text)["input_ids"]
    digits = ours.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a\n\n12")
    assert [piece for piece, _ in digits] == ["a", "ĊĊ", "1", "2"]


def test_the_end_of_a_turn_ends_generation(tiny_llama: Path, tmp_path: Path) -> None:
    assert load(str(write_gguf(tiny_llama, tmp_path / "turn.gguf", end_of_turn=0))).stop_token_ids == (2, 0)


def test_the_second_time_nothing_is_converted(tiny_gguf: Path, notes: Notes, home: Path) -> None:
    folder = GgufSource(tiny_gguf).folder(notes)
    assert len(notes.notes) == 1 and folder.parent == home / "models" and folder.name.startswith("gguf-")
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["source"] == str(tiny_gguf) and folder.name == f"gguf-{manifest['gguf_sha256'][:16]}"
    assert GgufSource(tiny_gguf).folder(notes) == folder and len(notes.notes) == 1


def test_two_processes_at_once_convert_once(tiny_gguf: Path) -> None:
    code = (
        "import sys; from selfedit.models import resolve; from selfedit.progress import LineProgress\n"
        "print(resolve(sys.argv[1]).folder(LineProgress()))"
    )
    command = [sys.executable, "-c", code, str(tiny_gguf)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    (out_a, err_a), (out_b, err_b) = (process.communicate(timeout=60) for process in both)
    assert [process.returncode for process in both] == [0, 0], err_a + err_b
    assert out_a == out_b and (Path(out_a.strip()) / MANIFEST).is_file()
    assert (err_a + err_b).count("Converting") == 1


@pytest.mark.parametrize("kept", [10, 3_000, 40_000])
def test_a_file_cut_off_is_an_error_that_leaves_nothing(
    tiny_gguf: Path, tmp_path: Path, home: Path, quiet: Progress, kept: int
) -> None:
    (tmp_path / "cut.gguf").write_bytes(tiny_gguf.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"cut\.gguf as GGUF: .*cut off; download it again"):
        resolve(str(tmp_path / "cut.gguf")).folder(quiet)
    assert [path for path in (home / "models").iterdir() if not path.name.endswith(".lock")] == []


def test_an_absent_file_and_one_of_another_kind_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No file"):
        resolve(str(tmp_path / "absent.gguf")).check()
    (tmp_path / "other.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match="is not a GGUF file"):
        resolve(str(tmp_path / "other.gguf")).check()
