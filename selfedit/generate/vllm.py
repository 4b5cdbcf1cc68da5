"""Generation by vLLM, for large models on a GPU: `pip install 'selfedit[vllm]'`.

vLLM keeps weights of its own beside those that are trained on, so it needs room for both, and what is merged into the
model in this process (`multilora.merge`) is unknown to it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal

from selfedit.errors import UserError
from selfedit.files.peft_folder import save_adapter
from selfedit.generate.base import Completion, Generator, OnCompletion, Request, Scored
from selfedit.types import Adapter, Model

_MAX_RANK = 512
_MOST_WORDS = 8
"""Of a run of words that an answer may be."""


class VllmGenerator(Generator):
    """Hands requests to an engine of vLLM's in this process.

    Every adapter gets a name and a number that are never used again: vLLM caches adapters by number, so one that is
    loaded in place of another would go on answering as the old one.

    Args:
        folder: the base model.
        stop_ids: tokens that end a text.
        max_rank: the largest rank of an adapter.
        max_loras: adapters in one batch.
        memory_share: of the GPU's memory; training needs the rest.

    Raises:
        UserError: vLLM is not installed.
    """

    def __init__(
        self,
        folder: Path,
        stop_ids: frozenset[int],
        max_rank: int = 64,
        max_loras: int = 16,
        memory_share: float = 0.4,
    ) -> None:
        try:
            import vllm
        except ImportError as error:
            raise UserError("The generator 'vllm' needs vLLM. Install it with: pip install 'selfedit[vllm]'") from error
        self._stop_ids = sorted(stop_ids)
        self._numbers = count(1)
        self._known: dict[int, tuple[Adapter, Any]] = {}
        self._files = tempfile.TemporaryDirectory(prefix="selfedit-vllm-")
        self._vllm: Any = vllm
        self._engine: Any = vllm.LLM(
            model=str(folder),
            enable_lora=True,
            max_loras=max_loras,
            max_lora_rank=min(max_rank, _MAX_RANK),
            gpu_memory_utilization=memory_share,
            trust_remote_code=False,
            # As the other generator: under the distribution that was sampled from.
            logprobs_mode="processed_logprobs",
        )

    def generate(
        self,
        requests: Sequence[Request],
        on_completion: OnCompletion | None = None,
    ) -> list[Completion]:
        """The same seed gives the same text as long as vLLM batches alike."""
        for request in requests:
            if not request.prompt:
                raise ValueError("a prompt is empty")
        outputs = self._engine.generate(
            [{"prompt_token_ids": list(request.prompt)} for request in requests],
            [self._sampling(request) for request in requests],
            lora_request=[self._lora(request.model) for request in requests],
            use_tqdm=False,
        )
        completions = [_completion(output.outputs[0]) for output in outputs]
        if on_completion is not None:
            for index, completion in enumerate(completions):
                on_completion(index, completion)
        return completions

    def score(self, items: Sequence[Scored]) -> list[float]:
        # Prompt log-probabilities come with a generation, so one token is written and thrown away.
        sampling = self._vllm.SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
        outputs = self._engine.generate(
            [{"prompt_token_ids": [*item.prompt, *item.target]} for item in items],
            [sampling] * len(items),
            lora_request=[self._lora(item.model) for item in items],
            use_tqdm=False,
        )
        means = []
        for item, output in zip(items, outputs, strict=True):
            table = output.prompt_logprobs[len(item.prompt) :]
            scores = [entry[token].logprob for entry, token in zip(table, item.target, strict=True)]
            means.append(sum(scores) / len(scores))
        return means

    def _sampling(self, request: Request) -> Any:
        return self._vllm.SamplingParams(
            max_tokens=request.max_new_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed if request.temperature > 0 else None,
            stop=list(request.stop) or None,
            stop_token_ids=self._stop_ids,
            logprobs=0,
            structured_outputs=self._structure(request),
        )

    def _structure(self, request: Request) -> Any:
        parameters = self._vllm.sampling_params.StructuredOutputsParams
        if request.schema:
            return parameters(json=request.schema)
        # Its grammars have no substrings, in most of its versions: each run of words is a choice.
        return parameters(choice=_runs(request.words_of)) if request.words_of else None

    def _lora(self, model: Model) -> Any:
        """vLLM's name for a model's adapter, whose files are written the first time it is seen."""
        if model.merged:
            raise UserError("The generator 'vllm' does not see what is merged into the base; use 'batched'.")
        adapter = model.adapter
        if adapter is None:
            return None
        if id(adapter) not in self._known:
            from vllm.lora.request import LoRARequest

            number = next(self._numbers)
            folder = Path(self._files.name) / f"adapter-{number}"
            folder.mkdir()
            save_adapter(adapter, folder, "base")
            # The adapter is kept, so that its id cannot come to mean another.
            self._known[id(adapter)] = (adapter, LoRARequest(folder.name, number, str(folder)))
        return self._known[id(adapter)][1]


def _runs(text: str) -> list[str]:
    """All runs of at most so many words of a text, each once."""
    words = text.split()
    spans = range(1, _MOST_WORDS + 1)
    return list(dict.fromkeys(" ".join(words[at : at + n]) for at in range(len(words)) for n in spans))


def _completion(output: Any) -> Completion:
    tokens = tuple(output.token_ids)
    logprobs = tuple(float(entry[token].logprob) for entry, token in zip(output.logprobs, tokens, strict=True))
    finish: Literal["stop", "length"] = "length" if output.finish_reason == "length" else "stop"
    return Completion(output.text, tokens, logprobs, finish)
