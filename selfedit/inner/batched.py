"""The default inner loop: many adapters at once on one frozen base."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

from selfedit.inner.backward import Piece
from selfedit.inner.base import InnerLoop, OnTokens
from selfedit.inner.full import FullInnerLoop
from selfedit.inner.halves import Halves
from selfedit.inner.job import TrainingJob, initial_factors
from selfedit.inner.memory import is_out_of_memory, plan_memory
from selfedit.multilora.model import MultiLoraModel, resolve_targets
from selfedit.types import Adapter, Recipe


class BatchedInnerLoop(InnerLoop):
    """Trains up to `slots` adapters in one forward and backward pass.

    Each pass holds about `token_budget` tokens, taken in turn from the jobs under way. An adapter that ends frees
    its slot for the next recipe, longest first. Every slot has its own AdamW over its row of the stacked factors,
    its own schedule and its own gradient clipping. Recipes that ask for full finetuning are trained one by one.

    Args:
        slots: the most adapters at once; fewer if memory does not allow it.
        token_budget: the most tokens of one pass; an example that is longer is a pass of its own.
        memory_limit: bytes to use beside the model's weights; by default most of what is free.
        tell: where a line goes when memory ran out and the budget was halved.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        slots: int = 16,
        token_budget: int = 1024,
        memory_limit: int | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.model, self.slots, self.token_budget = model, slots, token_budget
        self.memory_limit, self._tell = memory_limit, tell

    def adapt(self, recipes: Sequence[Recipe], on_tokens: OnTokens | None = None) -> Iterator[Adapter]:
        """See `InnerLoop.adapt`. Recipes with other target modules are trained in a pass of their own.

        Raises:
            UserError: not even one adapter and one example fit into memory.
        """
        jobs = [TrainingJob(recipe) for recipe in recipes]
        groups: dict[str | tuple[str, ...], list[TrainingJob]] = {}
        for job in jobs:
            if not job.hyperparameters.full:
                groups.setdefault(job.lora.target_modules, []).append(job)
        for targets, group in groups.items():
            layers = resolve_targets(self.model, targets)
            group_recipes = [job.recipe for job in group]
            plan = plan_memory(self.model, group_recipes, layers, self.slots, self.token_budget, self.memory_limit)
            multi = MultiLoraModel(self.model, plan.slots, max(job.lora.rank for job in group), layers, train=True)
            try:
                with Halves(multi) as halves:
                    yield from _Run(multi, halves, group, plan.token_budget, on_tokens, self._tell).adapters()
            finally:
                multi.unwrap()
        full = [job.recipe for job in jobs if job.hyperparameters.full]
        yield from FullInnerLoop(self.model).adapt(full, on_tokens)


class _Run:
    """One set of slots working through a queue of jobs."""

    def __init__(
        self,
        multi: MultiLoraModel,
        halves: Halves,
        jobs: list[TrainingJob],
        token_budget: int,
        on_tokens: OnTokens | None,
        tell: Callable[[str], None] | None,
    ) -> None:
        self._multi, self._halves, self._token_budget = multi, halves, token_budget
        self._on_tokens, self._tell = on_tokens, tell
        self._queue = deque(sorted(jobs, key=lambda job: -job.tokens_left))
        self._turns: deque[int] = deque()
        self._running: dict[int, TrainingJob] = {}
        self._optimizers: dict[int, torch.optim.AdamW] = {}

    def adapters(self) -> Iterator[Adapter]:
        """Train until the queue is empty, yielding adapters as they end."""
        for slot in range(self._multi.slots):
            self._start_next(slot)
        while self._running:
            pieces = self._choose_pieces()
            losses = self._run_pass(pieces)
            if losses is None:
                continue
            for piece, loss in zip(pieces, losses, strict=True):
                self._running[piece.slot].add_loss(loss)
            if self._on_tokens is not None:
                self._on_tokens(sum(len(piece.example.tokens) for piece in pieces))
            for slot in sorted({piece.slot for piece in pieces}):
                job = self._running[slot]
                if job.step_is_ready:
                    self._optimizer_step(slot)
                if job.is_done:
                    yield self._multi.read(slot, job.recipe.id, job.lora, tuple(job.losses))
                    self._start_next(slot)

    def _run_pass(self, pieces: list[Piece]) -> list[float] | None:
        """The losses of a pass; None if memory ran out, after which the steps in it begin anew with half the budget."""
        try:
            return self._halves.run(pieces)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(pieces) == 1:
                raise
        # Outside of the handler, which would keep the failed pass alive.
        tokens = sum(len(piece.example.tokens) for piece in pieces)
        self._token_budget = min(self._token_budget, tokens) // 2
        for slot in {piece.slot for piece in pieces}:
            self._running[slot].restart_step()
            self._multi.stale.add(slot)
        gc.collect()
        if self._multi.device.type == "cuda":
            torch.cuda.empty_cache()
        if self._tell is not None:
            self._tell(f"Out of memory with {tokens} tokens in a pass; going on with {self._token_budget}.")
        return None

    def _start_next(self, slot: int) -> None:
        """Give a slot the longest waiting job, or close it."""
        if slot in self._running:
            del self._running[slot]
            self._turns.remove(slot)
        if not self._queue:
            return
        job = self._queue.popleft()
        factors = initial_factors(job.recipe, self._multi.shapes)
        self._multi.load(slot, Adapter(job.recipe.id, job.lora, factors))
        weights = nn.Parameter(self._multi.weights_NP.detach()[slot])
        weights.grad = self._multi.grads_NP[slot]
        self._optimizers[slot] = torch.optim.AdamW(
            [weights], lr=job.learning_rate, weight_decay=job.hyperparameters.weight_decay, fused=True
        )
        self._running[slot] = job
        self._turns.append(slot)

    def _choose_pieces(self) -> list[Piece]:
        """Fill the token budget with examples, the slots that waited longest first; at least one example."""
        pieces: list[Piece] = []
        room = self._token_budget
        for slot in list(self._turns):
            job = self._running[slot]
            took = False
            while not job.step_is_ready and (job.next_length() <= room or not pieces):
                room -= job.next_length()
                taken = job.take()
                pieces.append(Piece(slot, taken.example, taken.weight, job.lora.dropout, taken.seed))
                took = True
            if took:
                self._turns.remove(slot)
                self._turns.append(slot)
        return sorted(pieces, key=lambda piece: piece.slot)

    def _optimizer_step(self, slot: int) -> None:
        job, optimizer = self._running[slot], self._optimizers[slot]
        group = optimizer.param_groups[0]
        group["lr"] = job.learning_rate
        nn.utils.clip_grad_norm_(group["params"], job.hyperparameters.max_grad_norm)
        optimizer.step()
        self._multi.stale.add(slot)
        job.finish_step()
