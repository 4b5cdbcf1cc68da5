"""What the engine's benchmarks train on and ask: published self-edits, or made ones of the same lengths."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfedit.inner.base import InnerLoop
from selfedit.types import Adapter, Example, Hyperparameters, LoraSpec, Model, ModelRef, Recipe

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
PUBLISHED = SHARED / "selfedits" / "qwen2.5-7b-base.jsonl"
QUESTIONS = SHARED / "squad" / "val.json"
CHARACTERS_A_TOKEN = 4.4
QUESTIONS_AN_EDIT = 5
# The paper adapts the query and value projections.
TARGETS: dict[str, str | tuple[str, ...]] = {"qv": ("q_proj", "v_proj"), "all-linear": "all-linear"}

Encode = Callable[[str], Sequence[int]]
"""Text to token ids."""


@dataclass(frozen=True)
class Edit:
    """One self-edit: the sequences it trains on, and the prompts it is asked afterwards."""

    sequences: tuple[tuple[int, ...], ...]
    prompts: tuple[tuple[int, ...], ...]

    def recipe(self, name: str, targets: str, epochs: int, rank: int = 32, seed: int = 0) -> Recipe:
        """The paper's: alpha twice the rank, learning rate 1e-3, batch 1, loss on every token."""
        examples = tuple(Example(sequence, (1.0,) * len(sequence)) for sequence in self.sequences)
        lora = LoraSpec(rank, 2.0 * rank, target_modules=TARGETS[targets])
        return Recipe(name, examples, Hyperparameters(lora, epochs=epochs), seed)

    @property
    def tokens(self) -> int:
        """Tokens of one epoch."""
        return sum(map(len, self.sequences))


def edits(count: int, encode: Encode) -> tuple[list[Edit], str]:
    """`count` self-edits and a word on where they are from, repeated where there are fewer."""
    found, source = (_published(encode), PUBLISHED.name) if PUBLISHED.exists() else (_made(encode), "made")
    return [found[i % len(found)] for i in range(count)], source


def random_encoder(vocab: int) -> Encode:
    """For a model without a tokenizer: as many random ids as the text would have tokens in English."""
    rng = random.Random(0)
    return lambda text: [rng.randrange(vocab) for _ in range(max(2, round(len(text) / CHARACTERS_A_TOKEN)))]


def _published(encode: Encode) -> list[Edit]:
    """Each line a sequence under the title, and the passage itself (paper, appendix B.2)."""
    asked: dict[str, list[str]] = {}
    if QUESTIONS.exists():
        for passage in json.loads(QUESTIONS.read_text(encoding="utf-8")):
            asked[passage["context"]] = [question["question"] for question in passage["questions"]]
    found = []
    for line in PUBLISHED.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        statements = [part for part in row["self_edit"].split("\n") if part.strip()] + [row["context"]]
        questions = asked.get(row["context"], ["What does the passage say about this?"] * QUESTIONS_AN_EDIT)
        found.append(_edit(encode, row["title"], statements, questions[:QUESTIONS_AN_EDIT]))
    return found


def _edit(encode: Encode, title: str, statements: Sequence[str], questions: Sequence[str]) -> Edit:
    return Edit(
        tuple(tuple(encode(f"{title}\n{statement}")) for statement in statements),
        tuple(tuple(encode(f"Topic: {title}\n{question}\nAnswer:")) for question in questions),
    )


def _made(encode: Encode) -> list[Edit]:
    """Edits whose number and length of lines are distributed as the published ones': a long tail in both."""
    rng = random.Random(0)
    found = []
    for _ in range(100):
        lines = min(56, max(3, round(rng.lognormvariate(1.85, 0.4))))
        lengths = [min(1600, max(60, round(rng.lognormvariate(5.0, 0.45)))) for _ in range(lines)]
        statements = [_words(rng, length) for length in [*lengths, round(rng.gauss(760, 200))]]
        found.append(_edit(encode, "A title", statements, [_words(rng, 60) for _ in range(QUESTIONS_AN_EDIT)]))
    return found


def _words(rng: random.Random, characters: int) -> str:
    words = ("the", "river", "army", "city", "which", "founded", "century", "between", "population", "of", "in", "was")
    text = ""
    while len(text) < max(20, characters):
        text += f"{rng.choice(words)} "
    return text.strip()


BARE = Model(ModelRef("measured", ""))
"""The loaded model as it is."""


def train(loop: InnerLoop, recipes: Sequence[Recipe]) -> list[Adapter]:
    """The adapters that a loop makes of the loaded model as it is."""
    return [update for update in loop.adapt(recipes, BARE) if isinstance(update, Adapter)]
