"""One optimizer step's gradients the plain way: one sequence a forward pass, nothing packed."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from selfedit.inner.base import OnTokens
from selfedit.inner.job import TrainingJob


def plain_backward(model: Any, job: TrainingJob, on_tokens: OnTokens | None) -> None:
    """Take every example of the job's step, and add its gradients to the model's parameters that have any."""
    while not job.step_is_ready:
        taken = job.take()
        tokens = torch.tensor([taken.example.tokens], device=model.device)
        logits_TV = model(input_ids=tokens, use_cache=False).logits[0, :-1].float()
        mask_T = torch.tensor(taken.example.loss_mask[1:], device=model.device)
        loss_T = nn.functional.cross_entropy(logits_TV, tokens[0, 1:], reduction="none")
        loss = (loss_T * mask_T).sum() * taken.weight
        loss.backward()
        job.add_loss(loss.item())
        if on_tokens is not None:
            on_tokens(len(taken.example.tokens))
