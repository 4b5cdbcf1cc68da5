"""The other ways to do what the engine does: the official manner, PEFT in a plain loop, transformers' generate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from benchmarks.workload import train
from selfedit.inner.peft import PeftInnerLoop
from selfedit.types import Recipe

# The official code pads every sequence to this length, and trains on the padding.
OFFICIAL_LENGTH = 2048


def clock(device: torch.device) -> float:
    """Seconds, with all work on the device done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds_of(device: torch.device, work: Callable[[], object]) -> float:
    started = clock(device)
    work()
    return clock(device) - started


def wrapped(model: PreTrainedModel, recipe: Recipe) -> Any:
    """The model with an adapter by PEFT on it; `unload()` it afterwards."""
    lora = recipe.hyperparameters.lora
    targets = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    return get_peft_model(model, LoraConfig(r=lora.rank, lora_alpha=int(lora.alpha), target_modules=targets))


def official_seconds_a_sequence(model: PreTrainedModel, recipe: Recipe) -> float:
    """One optimizer step of the official manner: batch 1, padded to 2,048 tokens, loss on all of them."""
    peft_model = wrapped(model, recipe)
    parameters = [parameter for parameter in peft_model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    sequence = list(recipe.examples[0].tokens)[:OFFICIAL_LENGTH]
    padded = torch.tensor([sequence + [0] * (OFFICIAL_LENGTH - len(sequence))], device=model.device)

    def step() -> None:
        peft_model(input_ids=padded, labels=padded).loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    seconds = seconds_of(model.device, step)
    peft_model.unload()
    return seconds


def peft_seconds_a_token(model: PreTrainedModel, recipes: Sequence[Recipe]) -> float:
    """Training one adapter after another, batch 1, no padding."""
    tokens = sum(recipe.tokens_per_epoch * recipe.hyperparameters.epochs for recipe in recipes)
    return seconds_of(model.device, lambda: train(PeftInnerLoop(model), recipes)) / tokens


def generate_seconds_an_edit(
    model: PreTrainedModel, recipe: Recipe, prompts: Sequence[Sequence[tuple[int, ...]]], new_tokens: int
) -> float:
    """transformers' `generate`, one left-padded batch of questions an edit, exactly `new_tokens` each."""
    peft_model = wrapped(model, recipe)

    def ask() -> None:
        for batch in prompts:
            longest = max(map(len, batch))
            ids = torch.tensor([[0] * (longest - len(p)) + list(p) for p in batch], device=model.device)
            mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in batch], device=model.device)
            with torch.no_grad():
                peft_model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    max_new_tokens=new_tokens,
                    min_new_tokens=new_tokens,
                    do_sample=False,
                    pad_token_id=0,
                )

    seconds = seconds_of(model.device, ask)
    peft_model.unload()
    return seconds / len(prompts)


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product, the best of half a second."""
    size = 1024 if device.type == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best, ends = float("inf"), clock(device) + 0.5
    while clock(device) < ends:
        best = min(best, seconds_of(device, lambda: left @ right))
    return 2 * size**3 / best
