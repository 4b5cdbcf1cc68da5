"""The yardstick inner loop: PEFT and a plain loop, one adapter after another, one sequence a forward pass."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from selfedit.inner.base import InnerLoop, OnTokens
from selfedit.inner.checkpoint import CheckpointFolder
from selfedit.inner.job import TrainingJob, initial_factors
from selfedit.inner.plain import plain_backward
from selfedit.multilora.merge import check_base, merged
from selfedit.multilora.model import fan_in_fan_out, resolve_targets
from selfedit.types import Adapter, LoraFactors, Model, ModelRef, Recipe


class PeftInnerLoop(InnerLoop):
    """What the batched loop has to equal, and to beat. Same data order, initial weights, schedule and optimizer."""

    def __init__(self, model: PreTrainedModel, base: ModelRef | None = None) -> None:
        self.model, self.base = model, base

    def adapt(
        self,
        recipes: Sequence[Recipe],
        model: Model,
        on_tokens: OnTokens | None = None,
        checkpoint: CheckpointFolder | None = None,
    ) -> Iterator[Adapter]:
        """In the order given. Nothing is kept in between."""
        check_base([model], self.base)
        for recipe in recipes:
            with merged(self.model, model.updates):
                adapter = self._train(TrainingJob(recipe), on_tokens)
            yield adapter

    def _train(self, job: TrainingJob, on_tokens: OnTokens | None) -> Adapter:
        peft_model = self._wrap(job)
        try:
            parameters = [parameter for parameter in peft_model.parameters() if parameter.requires_grad]
            optimizer = torch.optim.AdamW(
                parameters, lr=job.learning_rate, weight_decay=job.hyperparameters.weight_decay
            )
            while not job.is_done:
                optimizer.param_groups[0]["lr"] = job.learning_rate
                plain_backward(peft_model, job, on_tokens)
                nn.utils.clip_grad_norm_(parameters, job.hyperparameters.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad()
                job.finish_step()
            factors = self._factors(peft_model)
            is_transposed = fan_in_fan_out(self.model, factors)
            return Adapter(job.recipe.id, job.lora, factors, tuple(job.losses), is_transposed)
        finally:
            peft_model.unload()

    def _wrap(self, job: TrainingJob) -> PeftModel:
        lora = job.lora
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,  # type: ignore[arg-type]
            lora_dropout=lora.dropout,
            use_rslora=lora.rslora,
            target_modules=resolve_targets(self.model, lora.target_modules),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PEFT tells that GPT-2's layers are transposed, and sets it right.
            peft_model = get_peft_model(self.model, config)
        layers = _lora_layers(peft_model)
        shapes = {
            name: (layer.lora_A["default"].weight.shape[1], layer.lora_B["default"].weight.shape[0])
            for name, layer in layers.items()
        }
        with torch.no_grad():
            for name, factors in initial_factors(job.recipe, shapes).items():
                layers[name].lora_A["default"].weight.copy_(factors.a_RI)
                layers[name].lora_B["default"].weight.copy_(factors.b_OR)
        return peft_model

    def _factors(self, peft_model: PeftModel) -> dict[str, LoraFactors]:
        return {
            name: LoraFactors(
                layer.lora_A["default"].weight.detach().to("cpu", copy=True),
                layer.lora_B["default"].weight.detach().to("cpu", copy=True),
            )
            for name, layer in _lora_layers(peft_model).items()
        }


def _lora_layers(peft_model: PeftModel) -> dict[str, Any]:
    """The adapted layers by their names in the base model, in its order."""
    base: Any = peft_model.base_model.model
    return {name: module for name, module in base.named_modules() if hasattr(module, "lora_A")}
