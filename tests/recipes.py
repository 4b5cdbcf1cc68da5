"""Random recipes for the engine's tests."""

from __future__ import annotations

import random

from selfedit.types import Example, Hyperparameters, LoraSpec, Recipe


def example(rng: random.Random, vocab: int, low: int = 3, high: int = 24) -> Example:
    """A random sequence; half of them bear loss on their second half only."""
    length = rng.randint(low, high)
    masked = length // 2 if rng.random() < 0.5 else 0
    return Example(tuple(rng.randrange(vocab) for _ in range(length)), (0.0,) * masked + (1.0,) * (length - masked))


def recipe(
    number: int,
    vocab: int,
    *,
    targets: str | tuple[str, ...] = "all-linear",
    rank: int = 8,
    learning_rate: float = 1e-3,
    epochs: int | None = None,
    rslora: bool = False,
) -> Recipe:
    """Recipe `number`: its examples, lengths, batch size and steps differ from the others'."""
    rng = random.Random(number)
    examples = tuple(example(rng, vocab) for _ in range(3 + number % 4))
    hyperparameters = Hyperparameters(
        lora=LoraSpec(rank=rank, alpha=2.0 * rank, target_modules=targets, rslora=rslora),
        learning_rate=learning_rate,
        epochs=epochs or 2 + number % 3,
        batch_size=1 + number % 3,
        schedule=("linear", "cosine", "constant")[number % 3],
        warmup_steps=number % 2,
    )
    return Recipe(f"r{number}", examples, hyperparameters, seed=100 + number)
