"""The vLLM backend, where it is installed and has a GPU."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from selfedit.errors import UserError
from selfedit.generate.base import Request, Scored
from selfedit.generate.batched import BatchedGenerator
from selfedit.generate.vllm import VllmGenerator
from tests.engine import VOCAB, load_tiny, random_adapter, under
from tests.tiny import make_tiny_model, make_tiny_tokenizer

INSTALLED = find_spec("vllm") is not None


@pytest.mark.skipif(INSTALLED, reason="vLLM is installed")
def test_without_vllm_one_line_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pip install 'selfedit\[vllm\]'"):
        VllmGenerator(tmp_path, frozenset())


@pytest.mark.skipif(not INSTALLED, reason="vLLM is not installed: pip install 'selfedit[vllm]'")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="vLLM needs a GPU here")
def test_vllm_writes_and_scores_as_our_own_generator(tmp_path: Path) -> None:
    model = load_tiny(tmp_path / "ours").cuda()
    folder = make_tiny_model(tmp_path / "theirs", vocab=VOCAB)
    adapters = {f"a{i}": random_adapter(model, f"a{i}", rank=8, seed=i) for i in range(2)}
    models = [under(adapters)[name] for name in (None, "a0", "a1", "a0")]
    requests = [Request((5, 6, 7 + i), each, max_new_tokens=6) for i, each in enumerate(models)]
    ours = BatchedGenerator(model, make_tiny_tokenizer(vocab=VOCAB), frozenset())
    theirs = VllmGenerator(folder, frozenset())
    assert [c.tokens for c in theirs.generate(requests)] == [c.tokens for c in ours.generate(requests)]
    items = [Scored(r.prompt, (8, 9, 10), r.model) for r in requests]
    assert theirs.score(items) == pytest.approx(ours.score(items), abs=0.05)
