"""Which self-edit format teaches the default model most? The bundled documents, the same seeds for each format.

    python -m benchmarks.formats --out benchmarks/results/formats.json

For each format and seed the model writes one self-edit a passage, and one adapter is trained on all of them (the
passage alone where an edit is unusable). All adapters train at once. No choice is made by the questions, so these
figures are lower than those of `learn`, which keeps the best of several edits.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from selfedit.domains.knowledge import KnowledgeDomain
from selfedit.generate.batched import BatchedGenerator
from selfedit.graders import GRADERS
from selfedit.inner.batched import BatchedInnerLoop
from selfedit.learn.config import LearnConfig
from selfedit.learn.prepare import read_sources, split_sources
from selfedit.models import DEFAULT_MODEL, load
from selfedit.models.prompt import Prompter
from selfedit.policies.formats import get_format
from selfedit.policies.model import ModelPolicy
from selfedit.progress import make_progress
from selfedit.runtime import software_versions
from selfedit.search.evaluator import Evaluator
from selfedit.types import Evaluation, Recipe, SelfEdit, Task

DEMO = Path(__file__).parent.parent / "selfedit" / "data" / "demo"
# Student's t at 97.5%, by degrees of freedom: an interval over a few seeds is wide, and should be.
T_95 = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


class Bench:
    """The default model with everything that turns a format and a seed into an accuracy."""

    def __init__(self, model: str, config: LearnConfig) -> None:
        self.base, self.config, self.progress = load(model), config, make_progress()
        self.prompter = Prompter(self.base.tokenizer, self.base.has_chat_template)
        stop_ids = self.base.stop_token_ids
        self.generator = BatchedGenerator(self.base.model, self.base.tokenizer, frozenset(stop_ids))
        self.domain = KnowledgeDomain(self.prompter, stop_ids[0], sentences=config.sentences)
        grader = GRADERS[config.grader]()
        self.evaluator = Evaluator(self.generator, self.domain, grader, config.max_answer_tokens)
        sources = read_sources(sorted(DEMO.glob("*.md")), config)
        self.tasks = split_sources(sources, config.passage_tokens, lambda text: len(self.prompter.encode(text))).tasks

    def edits(self, format_name: str, seed: int) -> list[SelfEdit]:
        """One self-edit a passage."""
        c = self.config
        policy = ModelPolicy(
            self.generator, self.prompter, get_format(format_name), c.temperature, c.top_p, c.max_edit_tokens
        )
        with self.progress.bar(f"Writing {format_name}, seed {seed}", len(self.tasks), "edits") as bar:
            return policy.propose(self.tasks, 1, seed, lambda _: bar.advance())

    def recipe(self, name: str, edits: list[SelfEdit], seed: int) -> Recipe:
        """All edits in one recipe."""
        hyperparameters = self.config.final_training.hyperparameters()
        usable = [
            edit if self.domain.is_usable(task, edit) else replace(edit, format="none")
            for task, edit in zip(self.tasks, edits, strict=True)
        ]
        examples = tuple(
            example
            for task, edit in zip(self.tasks, usable, strict=True)
            for example in self.domain.recipe(task, edit, hyperparameters, seed).examples
        )
        return Recipe(name, examples, hyperparameters, seed)

    def run(self, formats: list[str], seeds: list[int]) -> list[dict[str, Any]]:
        """One row a format and seed."""
        written = {f"{name}/{seed}": self.edits(name, seed) for name in formats for seed in seeds}
        recipes = [self.recipe(key, edits, int(key.rpartition("/")[2])) for key, edits in written.items()]
        total = sum(recipe.tokens_per_epoch * recipe.hyperparameters.epochs for recipe in recipes)
        loop = BatchedInnerLoop(self.base.model, self.config.slots, self.config.token_budget)
        rows = []
        with self.progress.bar("Training", total, "tokens") as bar:
            adapters = {adapter.recipe_id: adapter for adapter in loop.adapt(recipes, bar.advance)}
        for recipe in recipes:
            key = recipe.id
            evaluations = self.evaluator.evaluate([(task, key) for task in self.tasks], {key: adapters[key]})
            lessons = [
                len(self.domain.lessons(task, edit)) for task, edit in zip(self.tasks, written[key], strict=True)
            ]
            rows.append(
                {
                    "format": key.rpartition("/")[0],
                    "seed": int(key.rpartition("/")[2]),
                    "accuracy": accuracy(evaluations),
                    "gold_logprob": statistics.fmean(e.gold_logprob for e in evaluations if e.answers),
                    "lessons_per_passage": statistics.fmean(lessons),
                    "usable_edits": sum(count > 0 for count in lessons),
                    "tokens_per_epoch": recipe.tokens_per_epoch,
                }
            )
            print(rows[-1], flush=True)
        return rows

    def base_accuracy(self) -> float:
        """Of the model as it is."""
        pairs: list[tuple[Task, str | None]] = [(task, None) for task in self.tasks]
        return accuracy(self.evaluator.evaluate(pairs))


def accuracy(evaluations: list[Evaluation]) -> float:
    """The share of all questions answered rightly."""
    verdicts = [answer.verdict.correct for evaluation in evaluations for answer in evaluation.answers]
    return sum(verdicts) / len(verdicts)


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half-width of the 95% interval over seeds."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, math.nan
    return mean, T_95[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))


def table(rows: list[dict[str, Any]], base: float, questions: int) -> str:
    """Markdown, the best format first."""
    by_format: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_format.setdefault(row["format"], []).append(row)
    lines = ["| format | accuracy | gold log-probability | usable edits | lessons a passage |", "|---|---|---|---|---|"]
    for name, own in sorted(by_format.items(), key=lambda item: -statistics.fmean(r["accuracy"] for r in item[1])):
        mean, half = interval([row["accuracy"] for row in own])
        log_mean, log_half = interval([row["gold_logprob"] for row in own])
        usable = statistics.fmean(row["usable_edits"] for row in own)
        lessons = statistics.fmean(row["lessons_per_passage"] for row in own)
        lines.append(
            f"| {name} | {mean:.1%} ± {half:.1%} | {log_mean:.2f} ± {log_half:.2f} | {usable:.1f} | {lessons:.1f} |"
        )
    lines.append(f"| base model | {base:.1%} | | | |")
    return "\n".join(lines) + f"\n\n{questions} questions; mean and 95% interval (Student's t) over seeds."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--formats", default="none,implications,rewrite,self-qa")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--epochs", type=int, help="fewer than learn's make it faster and all figures lower")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    config = LearnConfig(questions=DEMO / "questions.jsonl", max_answer_tokens=24, max_edit_tokens=96)
    if options.temperature is not None:
        config = config.model_copy(update={"temperature": options.temperature})
    training = {"epochs": options.epochs, "learning_rate": options.learning_rate}
    given = {name: value for name, value in training.items() if value is not None}
    config = config.model_copy(update={"final_training": config.final_training.model_copy(update=given)})
    started = time.time()
    bench = Bench(options.model, config)
    base = bench.base_accuracy()
    rows = bench.run(options.formats.split(","), list(range(options.seeds)))
    questions = sum(len(task.probes) for task in bench.tasks)
    print(table(rows, base, questions))
    if options.out is not None:
        record = {
            "machine": machine(),
            "software": software_versions(),
            "model": {"name": bench.base.name, "fingerprint": bench.base.fingerprint},
            "settings": config.model_dump(mode="json", exclude={"questions"}),
            "questions": questions,
            "base_accuracy": base,
            "seconds": time.time() - started,
            "rows": rows,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
