"""One recipe under way: which examples come next, and at which learning rate. Shared by all inner loops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from selfedit.types import Adapter, Example, Hyperparameters, LoraFactors, LoraSpec, Recipe


def learning_rate(hyperparameters: Hyperparameters, step: int, total_steps: int) -> float:
    """The learning rate of optimizer step `step` (from 0), as transformers' schedules of the same name."""
    warmup = hyperparameters.warmup_steps
    if step < warmup:
        return hyperparameters.learning_rate * step / max(1, warmup)
    progress = (step - warmup) / max(1, total_steps - warmup)
    factor = {
        "linear": 1.0 - progress,
        "cosine": 0.5 * (1.0 + math.cos(math.pi * progress)),
        "constant": 1.0,
    }[hyperparameters.schedule]
    return hyperparameters.learning_rate * max(0.0, factor)


def data_order(recipe: Recipe) -> list[list[int]]:
    """The example indices of each optimizer step, reshuffled each epoch from the recipe's seed."""
    generator = torch.Generator().manual_seed(recipe.seed)
    size = recipe.hyperparameters.batch_size * recipe.hyperparameters.gradient_accumulation
    steps: list[list[int]] = []
    for _ in range(recipe.hyperparameters.epochs):
        order = torch.randperm(len(recipe.examples), generator=generator).tolist()
        steps += [order[i : i + size] for i in range(0, len(order), size)]
    return steps


def initial_factors(recipe: Recipe, shapes: dict[str, tuple[int, int]]) -> dict[str, LoraFactors]:
    """Where training starts: the factors of `recipe.start`, or A as PEFT draws it and B zero.

    PEFT's A is uniform within 1/sqrt(inputs); here it is drawn from the recipe's seed.

    Args:
        shapes: input and output width of each layer, by name; drawn in this order.

    Raises:
        ValueError: the recipe starts from an adapter of another shape.
    """
    if isinstance(recipe.start, Adapter):
        start, lora = recipe.start, recipe.hyperparameters.lora
        if start.factors.keys() != shapes.keys() or (start.lora.rank, start.lora.scaling) != (lora.rank, lora.scaling):
            raise ValueError(f"recipe {recipe.id} cannot start from adapter {start.recipe_id}: layers or rank differ")
        return dict(start.factors)
    generator = torch.Generator().manual_seed(recipe.seed)
    rank = recipe.hyperparameters.lora.rank
    factors = {}
    for name, (inputs, outputs) in shapes.items():
        bound = 1.0 / math.sqrt(inputs)
        a_RI = torch.empty(rank, inputs).uniform_(-bound, bound, generator=generator)
        factors[name] = LoraFactors(a_RI, torch.zeros(outputs, rank))
    return factors


@dataclass(frozen=True)
class Taken:
    """An example of an optimizer step, by what its tokens' weights are multiplied, and the seed of its dropout."""

    example: Example
    weight: float
    seed: int


class TrainingJob:
    """A recipe's progress through its optimizer steps.

    A step's batch may be taken in several bites (`take`); its loss is the weighted sum over its tokens
    divided by how many have a weight. With weights of 1 that is the mean, as transformers' Trainer defines it, and
    bites change nothing but float rounding.
    """

    def __init__(self, recipe: Recipe) -> None:
        if not recipe.examples:
            raise ValueError(f"recipe {recipe.id} has no examples")
        for example in recipe.examples:
            if not any(example.weights[1:]):
                raise ValueError(f"recipe {recipe.id} has an example without a token that bears loss")
        self.recipe = recipe
        self.steps = data_order(recipe)
        self.step = 0
        self.losses: list[float] = []
        self._open_step()

    @property
    def hyperparameters(self) -> Hyperparameters:
        return self.recipe.hyperparameters

    @property
    def lora(self) -> LoraSpec:
        return self.recipe.hyperparameters.lora

    @property
    def is_done(self) -> bool:
        return self.step == len(self.steps)

    @property
    def tokens_left(self) -> int:
        """Tokens still to be trained on."""
        examples = self.recipe.examples
        later = sum(len(examples[i].tokens) for step in self.steps[self.step + 1 :] for i in step)
        return later + sum(len(example.tokens) for example in self._pending)

    @property
    def learning_rate(self) -> float:
        return learning_rate(self.hyperparameters, self.step, len(self.steps))

    @property
    def step_is_ready(self) -> bool:
        """Whether every example of the step's batch was taken."""
        return not self._pending

    def next_length(self) -> int:
        """Tokens of the next example of this step."""
        return len(self._pending[0].tokens)

    def take(self) -> Taken:
        """Take the next example of this step."""
        place = self.taken
        # The same example draws the same dropout whatever pass it comes into.
        seed = ((self.recipe.seed * 1_000_003 + self.step) * 10_007 + place) % 2**63
        return Taken(self._pending.pop(0), 1.0 / self._labels, seed)

    @property
    def taken(self) -> int:
        """Examples of this step that were taken."""
        return len(self.steps[self.step]) - len(self._pending)

    def resume(self, step: int, losses: Sequence[float], taken: int) -> None:
        """Go on where another job of the same recipe was."""
        self.step = step
        self._open_step()
        self.losses = list(losses)
        del self._pending[:taken]

    def restart_step(self) -> None:
        """Put back what was taken for this step, whose gradients were lost."""
        del self.losses[-1]
        self._open_step()

    def add_loss(self, amount: float) -> None:
        """Add a taken example's weighted loss to the step's."""
        self.losses[-1] += amount

    def finish_step(self) -> None:
        """Go on to the next step, after the optimizer's."""
        self.step += 1
        if not self.is_done:
            self._open_step()

    def _open_step(self) -> None:
        self._pending = [self.recipe.examples[i] for i in self.steps[self.step]]
        self._labels = sum(weight != 0 for example in self._pending for weight in example.weights[1:])
        self.losses.append(0.0)
