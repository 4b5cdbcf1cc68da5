"""The default inner loop: many adapters at once on one frozen base."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from selfedit.inner.backward import Piece
from selfedit.inner.base import InnerLoop, OnTokens
from selfedit.inner.checkpoint import CheckpointFolder, Keeper, Snapshot, work_key
from selfedit.inner.full import FullInnerLoop
from selfedit.inner.halves import Halves
from selfedit.inner.job import TrainingJob, initial_factors
from selfedit.inner.kept_states import KeptStates
from selfedit.inner.memory import is_out_of_memory, plan_memory
from selfedit.multilora.merge import check_base, merged
from selfedit.multilora.model import MultiLoraModel, resolve_targets
from selfedit.turns import Turns
from selfedit.types import Adapter, Model, ModelRef, Recipe, Update


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
        base: what the model is; None takes work for any.
        turns: where others use the model's weights, too.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        slots: int = 16,
        token_budget: int = 1024,
        memory_limit: int | None = None,
        tell: Callable[[str], None] | None = None,
        base: ModelRef | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._turns = turns
        self.model, self.slots, self.token_budget, self.base = model, slots, token_budget, base
        self.memory_limit, self._tell = memory_limit, tell

    def adapt(
        self,
        recipes: Sequence[Recipe],
        model: Model,
        on_tokens: OnTokens | None = None,
        checkpoint: CheckpointFolder | None = None,
    ) -> Iterator[Update]:
        """Recipes with other target modules are trained in a pass of their own; full finetuning comes last.

        Raises:
            UserError: not even one adapter and one example fit into memory.
        """
        check_base([model], self.base)
        groups: dict[str | tuple[str, ...], list[TrainingJob]] = {}
        full: list[Recipe] = []
        for job in [TrainingJob(recipe) for recipe in recipes]:
            if job.hyperparameters.full:
                full.append(job.recipe)
            else:
                groups.setdefault(job.lora.target_modules, []).append(job)
        keeper = Keeper(checkpoint, work_key(recipes, model, self.slots, self.token_budget)) if checkpoint else None
        yield from keeper.ended() if keeper is not None else ()
        for number, (targets, jobs) in enumerate(groups.items()):
            if keeper is not None and (jobs := keeper.left(jobs)) == []:
                continue
            with merged(self.model, model.updates):
                yield from self._adapters(number, targets, jobs, on_tokens, keeper)
        yield from FullInnerLoop(self.model).adapt(full, model, on_tokens)

    def _adapters(
        self,
        group: int,
        targets: str | tuple[str, ...],
        jobs: list[TrainingJob],
        on_tokens: OnTokens | None,
        keeper: Keeper | None,
    ) -> Iterator[Adapter]:
        """The adapters of one group of recipes, which have the same layers."""
        layers = resolve_targets(self.model, targets)
        recipes = [job.recipe for job in jobs]
        state = keeper.state(group) if keeper is not None else None
        if state is not None:  # Of a size that did fit.
            slots, token_budget, rank = (int(state.facts[name]) for name in ("slots", "token_budget", "rank"))
        else:
            plan = plan_memory(self.model, recipes, layers, self.slots, self.token_budget, self.memory_limit)
            slots, token_budget = plan.slots, plan.token_budget
            rank = max(job.lora.rank for job in jobs)
        multi = MultiLoraModel(self.model, slots, rank, layers, train=True)
        try:
            with Halves(multi, self._turns) as halves:
                run = _Run(multi, halves, jobs, token_budget, on_tokens, self._tell)
                if state is not None:
                    run.restore(state)
                for adapter in run.adapters(lambda: keeper.tick(group, run.snapshot) if keeper is not None else None):
                    if keeper is not None:
                        keeper.keep(adapter)
                    yield adapter
        finally:
            multi.unwrap()


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
        self._kept = KeptStates(multi, token_budget, halves.turns)
        self._queue = deque(sorted(jobs, key=lambda job: -job.tokens_left))
        self._turns: deque[int] = deque()
        self._running: dict[int, TrainingJob] = {}
        self._optimizers: dict[int, torch.optim.AdamW] = {}

    def adapters(self, after_pass: Callable[[], None]) -> Iterator[Adapter]:
        """Train until the queue is empty, yielding adapters as they end."""
        if not self._running:
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
            after_pass()

    def snapshot(self) -> Snapshot:
        """All that the passes to come depend on."""
        tensors: dict[str, torch.Tensor] = {}
        running: dict[str, Any] = {}
        for slot, job in self._running.items():
            tensors[f"{slot}.weights"] = self._multi.weights_NP.detach()[slot].cpu()
            tensors[f"{slot}.gradients"] = self._multi.grads_NP[slot].cpu()
            (state,) = self._optimizers[slot].state.values() or ({},)
            tensors |= {f"{slot}.optimizer.{name}": value.cpu() for name, value in state.items()}
            running[str(slot)] = {"id": job.recipe.id, "step": job.step, "losses": job.losses, "taken": job.taken}
        facts = {
            "slots": self._multi.slots,
            "rank": self._multi.rank,
            "token_budget": self._token_budget,
            "queue": [job.recipe.id for job in self._queue],
            "turns": list(self._turns),
            "stale": sorted(self._multi.stale),
            "running": running,
        }
        return Snapshot(tensors, facts)

    @torch.no_grad()
    def restore(self, snapshot: Snapshot) -> None:
        """Be where a run of the same jobs was."""
        facts, tensors = snapshot.facts, snapshot.tensors
        jobs = {job.recipe.id: job for job in self._queue}
        self._queue = deque(jobs[name] for name in facts["queue"])
        for text, at in facts["running"].items():
            slot, job = int(text), jobs[at["id"]]
            job.resume(at["step"], at["losses"], at["taken"])
            self._open(slot, job)
            self._multi.weights_NP[slot] = tensors[f"{text}.weights"].to(self._multi.device)
            self._multi.grads_NP[slot] = tensors[f"{text}.gradients"].to(self._multi.device)
            begin = f"{text}.optimizer."
            state = {name.removeprefix(begin): t for name, t in tensors.items() if name.startswith(begin)}
            if state:
                (weights,) = self._optimizers[slot].param_groups[0]["params"]
                device = self._multi.device
                self._optimizers[slot].state[weights] = {name: t.to(device) for name, t in state.items()}
        self._turns = deque(facts["turns"])
        self._multi.stale = set(facts["stale"])

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
            self._kept.close(slot)
        if not self._queue:
            return
        self._open(slot, self._queue.popleft())
        self._turns.append(slot)

    def _open(self, slot: int, job: TrainingJob) -> None:
        """Put a job into a slot, at its beginning."""
        factors = initial_factors(job.recipe, self._multi.shapes)
        self._multi.load(slot, Adapter(job.recipe.id, job.lora, factors))
        weights = nn.Parameter(self._multi.weights_NP.detach()[slot])
        weights.grad = self._multi.grads_NP[slot]
        self._optimizers[slot] = torch.optim.AdamW(
            [weights], lr=job.learning_rate, weight_decay=job.hyperparameters.weight_decay, fused=True
        )
        self._running[slot] = job
        self._kept.open(slot, job.recipe.examples)

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
                lower_TH = self._kept.of(slot, taken.example)
                pieces.append(Piece(slot, taken.example, taken.weight, job.lora.dropout, taken.seed, lower_TH))
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
