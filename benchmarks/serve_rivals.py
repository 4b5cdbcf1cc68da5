"""Who answers one request at a time: transformers' server, and its `generate` in a plain loop with PEFT."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import torch

from selfedit.models.load import BaseModel
from selfedit.types import Adapter


class PeftLoop:
    """`generate` under the request's adapter, in this process."""

    name = "generate with PEFT"

    def __init__(self, base: BaseModel, adapters: list[Adapter]) -> None:
        from peft import LoraConfig, get_peft_model

        self._tokenizer, self._stop = base.tokenizer, list(base.stop_token_ids)
        first, lora = adapters[0], adapters[0].lora
        config = LoraConfig(r=lora.rank, lora_alpha=int(lora.alpha), target_modules=list(first.factors))
        peft_model: Any = get_peft_model(base.model, config, "v1")
        self._model = peft_model
        for number, each in enumerate(adapters, 1):
            if number > 1:
                self._model.add_adapter(f"v{number}", config)
            with torch.no_grad():
                for name, factors in each.factors.items():
                    layer: Any = self._model.base_model.model.get_submodule(name)
                    layer.lora_A[f"v{number}"].weight.copy_(factors.a_RI)
                    layer.lora_B[f"v{number}"].weight.copy_(factors.b_OR)
        self._model.eval()

    def answer(self, version: str, prompt: tuple[int, ...], tokens: int) -> tuple[str, int]:
        """The text, and how many tokens were written."""
        self._model.set_adapter(version)
        ids = torch.tensor([prompt])
        with torch.no_grad():
            out = self._model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                do_sample=False,
                eos_token_id=self._stop,
                pad_token_id=self._stop[0],
            )
        written = out[0, len(prompt) :].tolist()
        return str(self._tokenizer.decode(written, skip_special_tokens=True)), len(written)

    def close(self) -> None:
        """Nothing is to be ended."""


class TransformersServe:
    """`transformers serve` in a process of its own, over the full weights of a version.

    It has no adapters to compute, and always answers as this one version: both make it faster.
    """

    name = "transformers serve"

    def __init__(self, weights: Path, base: BaseModel, patience: float = 600.0) -> None:
        self._weights, self._tokenizer = weights, base.tokenizer
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        program = str(Path(sys.executable).with_name("transformers"))
        command = [program, "serve", str(weights), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600)
        self._wait(time.monotonic() + patience)

    def answer(self, version: str, prompt: tuple[int, ...], tokens: int) -> tuple[str, int]:
        """The text, and how many tokens were written."""
        body = {
            "model": str(self._weights),
            "prompt": self._tokenizer.decode(list(prompt)),
            "max_tokens": tokens,
            "temperature": 0.0,
        }
        answer = self._http.post("/v1/completions", json=body)
        answer.raise_for_status()
        said: dict[str, Any] = answer.json()
        return said["choices"][0]["text"], said["usage"]["completion_tokens"]

    def close(self) -> None:
        self._http.close()
        self._process.terminate()
        self._process.wait(30)

    def _wait(self, until: float) -> None:
        while True:
            try:
                if self._http.get("/health").is_success:
                    return
            except httpx.TransportError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("transformers serve does not run here") from None
            time.sleep(0.2)
