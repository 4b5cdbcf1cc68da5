"""One optimizer step's gradients the plain way: one sequence a forward pass, nothing packed."""

from __future__ import annotations

from typing import Any

import torch

from selfedit.inner.base import OnTokens
from selfedit.inner.job import TrainingJob
from selfedit.inner.loss import targets


def plain_backward(model: Any, job: TrainingJob, on_tokens: OnTokens | None) -> None:
    """Take every example of the job's step, and add its gradients to the model's parameters that have any."""
    while not job.step_is_ready:
        taken = job.take()
        tokens = torch.tensor([taken.example.tokens], device=model.device)
        logits_TV = model(input_ids=tokens, use_cache=False).logits[0, :-1].float()
        weights_T = torch.tensor(taken.example.weights[1:], device=model.device)
        ids_TK, probabilities_TK = (part.to(model.device) for part in targets(taken.example))
        loss_T = -(logits_TV.log_softmax(-1).gather(1, ids_TK) * probabilities_TK).sum(1)
        loss = (loss_T * weights_T).sum() * taken.weight
        loss.backward()
        job.add_loss(loss.item())
        if on_tokens is not None:
            on_tokens(len(taken.example.tokens))
