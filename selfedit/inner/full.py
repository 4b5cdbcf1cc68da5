"""Full finetuning: all weights of the model, one recipe at a time (the paper's second version compares it to LoRA)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

from selfedit.inner.base import InnerLoop, OnTokens
from selfedit.inner.checkpoint import CheckpointFolder
from selfedit.inner.job import TrainingJob
from selfedit.inner.plain import plain_backward
from selfedit.multilora.merge import check_base, merged
from selfedit.types import Adapter, FullWeights, Model, ModelRef, Recipe


class FullInnerLoop(InnerLoop):
    """Trains a copy of every weight, in fp32 whatever the model's type, and leaves the model as it was.

    Needs 16 bytes a weight besides the model, and a copy of the model for each recipe.
    """

    def __init__(self, model: PreTrainedModel, base: ModelRef | None = None) -> None:
        self.model, self.base = model, base

    def adapt(
        self,
        recipes: Sequence[Recipe],
        model: Model,
        on_tokens: OnTokens | None = None,
        checkpoint: CheckpointFolder | None = None,
    ) -> Iterator[FullWeights]:
        """In the order given. Nothing is kept in between: a checkpoint would be four times as large as the model.

        Raises:
            ValueError: a recipe starts from an adapter, which full finetuning cannot.
        """
        check_base([model], self.base)
        jobs = [TrainingJob(recipe) for recipe in recipes]
        for job in jobs:
            if isinstance(job.recipe.start, Adapter):
                raise ValueError(f"recipe {job.recipe.id}: full finetuning cannot start from a LoRA adapter")
        for job in jobs:
            with merged(self.model, model.updates):
                weights = self._train(job, on_tokens)
            yield weights

    def _train(self, job: TrainingJob, on_tokens: OnTokens | None) -> FullWeights:
        weights = dict(self.model.named_parameters())
        before = {name: weight.detach().clone() for name, weight in weights.items()}
        # bf16 would swallow the small steps.
        start = job.recipe.start.weights if isinstance(job.recipe.start, FullWeights) else before
        masters = {
            name: nn.Parameter(start[name].to(weight.device, torch.float32, copy=True))
            for name, weight in weights.items()
        }
        optimizer = torch.optim.AdamW(
            masters.values(), lr=job.learning_rate, weight_decay=job.hyperparameters.weight_decay
        )
        try:
            _copy(masters, weights)
            self.model.requires_grad_(True)
            while not job.is_done:
                optimizer.param_groups[0]["lr"] = job.learning_rate
                plain_backward(self.model, job, on_tokens)
                for name, weight in weights.items():
                    masters[name].grad = None if weight.grad is None else weight.grad.float()
                    weight.grad = None
                nn.utils.clip_grad_norm_(masters.values(), job.hyperparameters.max_grad_norm)
                optimizer.step()
                _copy(masters, weights)
                job.finish_step()
            trained = {name: weight.detach().to("cpu", copy=True) for name, weight in weights.items()}
            return FullWeights(job.recipe.id, trained, tuple(job.losses))
        finally:
            self.model.requires_grad_(False)
            for weight in weights.values():
                weight.grad = None
            _copy(before, weights)


@torch.no_grad()
def _copy(source: dict[str, nn.Parameter] | dict[str, torch.Tensor], target: dict[str, nn.Parameter]) -> None:
    for name, weight in target.items():
        weight.copy_(source[name])
