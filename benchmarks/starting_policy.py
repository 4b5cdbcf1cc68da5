"""Makes the default model's starting policy: what it writes self-edits with, and what adapters are trained on top of.

    python -m benchmarks.starting_policy --out selfedit/data/policies/smollm2-135m

Supervised practice in two skills, on SQuAD passages (../shared/data/squad/val.json; none of the 200 validation
passages): asking for a given answer, and answering in a few words with the passage at hand. Seeded: the same command
makes the same weights on the same machine; interrupted, it goes on where it was. Kept in float16, about 5 MB.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from selfedit.compose import compose_domain, make_prompter
from selfedit.domains.knowledge import KnowledgeDomain
from selfedit.files.hashing import sha256_of_file
from selfedit.files.peft_folder import ADAPTER_FILE, save_adapter
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.inner.checkpoint import CheckpointFolder
from selfedit.models import load
from selfedit.models.prompt import Prompter
from selfedit.policies.answer_first import ask_request
from selfedit.policies.spans import says_enough, sentences
from selfedit.progress import make_progress
from selfedit.search.training import train_all
from selfedit.text.matching import answer_in_passage, normalise
from selfedit.types import Adapter, Example, Hyperparameters, LoraFactors, LoraSpec, Model, Recipe

SQUAD = Path(__file__).parent.parent.parent / "shared" / "data" / "squad"
HYPERPARAMETERS = Hyperparameters(
    lora=LoraSpec(rank=8, alpha=16.0), learning_rate=1e-3, epochs=1, batch_size=8, warmup_steps=10
)
MAX_WORDS = 6
MAX_CHARACTERS = 200
"""Of a sentence: what can be said about a short one costs less practice, and documents have them, too."""
CARD = """# Starting policy of selfedit for smollm2-135m

A LoRA adapter (rank 8) over SmolLM2-135M-Instruct that asks questions with given answers and answers in a few words
with a passage at hand. Made by `python -m benchmarks.starting_policy`, seed {seed}, from {asked} questions and
{answered} answers of SQuAD v1.1's development set (Rajpurkar et al. 2016, CC BY-SA 4.0), without the 200 passages that
selfedit and SEAL (arXiv 2506.10943) validate on. sha256 of the float32 weights before rounding: `{sha256}`.
"""


@dataclass(frozen=True)
class Row:
    """A question of a passage, with the sentence that its answer stands in, and the few sentences around it."""

    title: str
    sentence: str
    near: str
    question: str
    answer: str


def rows(seed: int) -> list[Row]:
    """Questions that say what they are about, with short answers that stand in one short sentence, shuffled."""
    held_out = set(json.loads((SQUAD / "val200.index.json").read_text()))
    found = [
        row
        for number, passage in enumerate(json.loads((SQUAD / "val.json").read_text()))
        if number not in held_out
        for row in _of_passage(passage)
    ]
    random.Random(seed).shuffle(found)
    return found


def _of_passage(passage: dict[str, Any]) -> Iterator[Row]:
    title = passage["title"].replace("_", " ")
    parts = sentences(passage["context"])
    for item in passage["questions"]:
        question = item["question"].strip()
        answer = item["answer"].strip() if isinstance(item["answer"], str) else item["answer"][0].strip()
        holding = [i for i, part in enumerate(parts) if answer_in_passage(answer, part)]
        names = any(word[:1].isupper() for word in question.split()[1:])
        named = set(normalise(title).split()) & set(normalise(question).split())
        if len(holding) != 1 or not (names or named) or len(answer.split()) > MAX_WORDS:
            continue
        if not question.endswith("?") or answer_in_passage(answer, question) or len(parts[holding[0]]) > MAX_CHARACTERS:
            continue
        # What takes nothing from its sentence teaches asking at random.
        if not says_enough(question, parts[holding[0]], title, answer):
            continue
        near = " ".join(parts[max(0, holding[0] - 1) : holding[0] + 2])
        yield Row(title, parts[holding[0]], near, question, answer)


def examples(
    prompter: Prompter, domain: KnowledgeDomain, end: int, asked: int, answered: int, seed: int
) -> list[Example]:
    """The loss is on what the model is to write."""
    chosen = rows(seed)[: asked + answered]
    made = []
    for row in chosen[:asked]:
        prompt = prompter.chat_prompt(ask_request(row.title, row.sentence, row.answer))
        made.append(Example.completion(prompt, (*prompter.encode(row.question), end)))
    for place, row in enumerate(chosen[asked:]):
        # Every third without its title: a user's question has none. Every second with its sentence alone.
        prompt = domain.ask(row.question, row.title if place % 3 else "", row.near if place % 2 else row.sentence)
        made.append(Example.completion(prompt, (*prompter.encode(row.answer), end)))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--asked", type=int, default=1800)
    parser.add_argument("--answered", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    base = load("smollm2-135m")
    prompter, domain = make_prompter(base), compose_domain(base, "knowledge", {})
    assert isinstance(domain, KnowledgeDomain)
    practice = examples(prompter, domain, base.stop_token_ids[0], options.asked, options.answered, options.seed)
    recipe = Recipe("starting-policy", tuple(practice), HYPERPARAMETERS, options.seed)
    inner = BatchedInnerLoop(base.model, slots=1, base=base.ref)
    scratch = options.out.with_name(options.out.name + ".work")
    progress = make_progress()
    made = train_all(inner, [recipe], Model(base.ref), "Practising", progress, CheckpointFolder(scratch))[recipe.id]
    assert isinstance(made, Adapter)
    options.out.mkdir(parents=True, exist_ok=True)
    save_adapter(made, options.out, base.ref.name)
    sha256 = sha256_of_file(options.out / ADAPTER_FILE)
    small = {name: LoraFactors(pair.a_RI.half(), pair.b_OR.half()) for name, pair in made.factors.items()}
    save_adapter(replace(made, factors=small, losses=()), options.out, base.ref.name)
    card = CARD.format(seed=options.seed, asked=options.asked, answered=options.answered, sha256=sha256)
    (options.out / "README.md").write_text(card, encoding="utf-8")
    shutil.rmtree(scratch, ignore_errors=True)
    first, last = made.losses[:20], made.losses[-20:]
    print(f"loss {sum(first) / len(first):.3f} at first, {sum(last) / len(last):.3f} at last; {sha256}")


if __name__ == "__main__":
    main()
