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
from selfedit.compose import compose, make_prompter
from selfedit.files.journal import Unrecorded
from selfedit.learn.config import LearnConfig
from selfedit.learn.prepare import read_sources, split_sources
from selfedit.models import DEFAULT_MODEL, load
from selfedit.progress import make_progress
from selfedit.runtime import software_versions
from selfedit.search.step import Search
from selfedit.search.training import train_all
from selfedit.types import Model, Recipe, SelfEdit, pooled

DEMO = Path(__file__).parent.parent / "selfedit" / "data" / "demo"
# Student's t at 97.5%, by degrees of freedom: an interval over a few seeds is wide, and should be.
T_95 = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


class Bench:
    """The default model with everything that turns a format and a seed into an accuracy."""

    def __init__(self, model: str, config: LearnConfig) -> None:
        self.base, self.config, self.progress = load(model), config, make_progress()
        self.model = Model(self.base.ref)
        sources = read_sources(sorted(DEMO.glob("*.md")), config)
        prompter = make_prompter(self.base)
        self.tasks = split_sources(sources, config.passage_tokens, lambda text: len(prompter.encode(text))).tasks
        self.search = self.with_format(config.format or "rewrite")

    def with_format(self, name: str) -> Search:
        """The search step with self-edits of a format."""
        composition = replace(self.config.composition, format=name)
        return Search(compose(self.base, composition, self.progress.note), Unrecorded(), self.progress, 24)

    def edits(self, format_name: str, seed: int) -> list[SelfEdit]:
        """One self-edit a passage."""
        return self.with_format(format_name).propose("", self.tasks, 1, self.model, seed)

    def recipe(self, name: str, edits: list[SelfEdit], seed: int) -> Recipe:
        """All edits in one recipe."""
        domain, hyperparameters = self.search.stages.domain, self.config.final("joint").hyperparameters()
        usable = [
            edit if domain.is_usable(task, edit, hyperparameters) else replace(edit, format="none")
            for task, edit in zip(self.tasks, edits, strict=True)
        ]
        return Recipe(name, self.search.join(self.tasks, usable, hyperparameters, seed).examples, hyperparameters, seed)

    def run(self, formats: list[str], seeds: list[int]) -> list[dict[str, Any]]:
        """One row a format and seed."""
        written = {f"{name}/{seed}": self.edits(name, seed) for name in formats for seed in seeds}
        recipes = [self.recipe(key, edits, int(key.rpartition("/")[2])) for key, edits in written.items()]
        stages = self.search.stages
        updates = train_all(stages.inner, recipes, self.model, "Training", self.progress)
        rows = []
        for recipe in recipes:
            learnt = self.model.with_update(updates[recipe.id])
            evaluations = stages.evaluator.evaluate([(task, learnt) for task in self.tasks])
            lessons = [
                len(stages.domain.lessons(task, edit))
                for task, edit in zip(self.tasks, written[recipe.id], strict=True)
            ]
            rows.append(
                {
                    "format": recipe.id.rpartition("/")[0],
                    "seed": int(recipe.id.rpartition("/")[2]),
                    "accuracy": pooled(evaluations).accuracy,
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
        return pooled(self.search.evaluate_base("base", self.tasks, self.model, "Asking the base model")).accuracy


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
    config = config.model_copy(update={"final_training": config.final("joint").model_copy(update=given)})
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
