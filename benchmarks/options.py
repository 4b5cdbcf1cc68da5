"""What of `learn`'s training helps? The same self-edits, trained on in other ways, and what people would use instead.

    python -m benchmarks.options --documents demo held_out --seeds 0 1 2 --out benchmarks/results/options-cpu.json

Goes on from the stores of `benchmarks.learning` (or makes them): documents, questions and self-edits are one seed's, so
that rows differ in their training alone. Each row is asked as `selfedit ask` asks (bare questions, routed, the surest
of two answers), and with the right passage chosen by hand, which says what the router costs. Interrupted, it goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.distil import distilled
from benchmarks.learning import ANSWER_TOKENS, DOCUMENTS, learnt
from benchmarks.machine import machine
from selfedit.compose import compose
from selfedit.files.journal import Unrecorded
from selfedit.graders import make_grader
from selfedit.learn.config import learn_config
from selfedit.memory.base import scaled
from selfedit.memory.recall import Recall
from selfedit.progress import make_progress
from selfedit.routing import Query
from selfedit.routing.fitted import HEADING
from selfedit.runtime import software_versions
from selfedit.search.evaluator import Asked
from selfedit.search.exam import Exam
from selfedit.session import Asked as Question
from selfedit.types import (
    UPPER_HALF,
    Adapter,
    Example,
    Hyperparameters,
    Knowledge,
    Learnt,
    Model,
    Probe,
    Recipe,
    Task,
    Update,
    Version,
    pooled,
)


@dataclass(frozen=True)
class Option:
    """A way to train on the same self-edits: what is changed of the examples of a passage, and of the settings.

    Attributes:
        examples: of a passage's statements (the whole passage first, then each sentence) and its pairs; as `learn`
            trains on them, the passage as a whole and the pairs.
        whole: one adapter for each document, not for each passage.
    """

    examples: Callable[[Bench, Learnt, list[Example], list[Example]], list[Example]] = (
        lambda bench, item, statements, pairs: statements[:1] + pairs
    )
    settings: Callable[[Hyperparameters], Hyperparameters] = lambda settings: settings
    whole: bool = False


def upper(settings: Hyperparameters, rank: int | None = None, learning_rate: float | None = None) -> Hyperparameters:
    """With adapters on the upper half of the layers."""
    rank, rate = rank or settings.lora.rank, learning_rate or settings.learning_rate
    lora = replace(settings.lora, target_modules=UPPER_HALF, rank=rank, alpha=2.0 * rank)
    return replace(settings, lora=lora, learning_rate=rate)


OPTIONS: dict[str, Option] = {
    "trained again": Option(),
    "each sentence, too": Option(lambda bench, item, statements, pairs: statements + pairs),
    "pairs alone": Option(lambda bench, item, statements, pairs: pairs or statements[:1]),
    "one wording": Option(lambda bench, item, statements, pairs: statements[:1] + pairs[::2]),
    "distilled": Option(lambda bench, item, statements, pairs: statements[:1] + distilled(bench, item, pairs)),
    "rank 4": Option(settings=lambda h: replace(h, lora=replace(h.lora, rank=4, alpha=8.0))),
    "batches of 4, twice the rate": Option(
        settings=lambda h: replace(h, batch_size=4, learning_rate=2 * h.learning_rate)
    ),
    "upper half of the layers": Option(settings=lambda h: upper(h)),
    "upper half, 1.5 times the rate": Option(settings=lambda h: upper(h, learning_rate=1.5 * h.learning_rate)),
    "upper half, rank 16": Option(settings=lambda h: upper(h, rank=16)),
    "4 epochs": Option(settings=lambda h: replace(h, epochs=4)),
    "4 epochs, dropout 0.1": Option(settings=lambda h: replace(h, epochs=4, lora=replace(h.lora, dropout=0.1))),
    "an adapter a document": Option(whole=True),
}
AS_LEARNT, TITLED, FIRST, RETRIEVED, BOTH = (
    "as learnt",
    "under the document's title",
    "the router's choice alone",
    "the router's passage in context",
    "both",
)
UNTRAINED = (AS_LEARNT, TITLED, FIRST, RETRIEVED, BOTH)
"""Rows without training of their own: what `learn` made, asked as `ask` does; the same with a topic; without the surest
of two; and retrieval, by the starting policy and by the adapter that is routed to."""


class Bench:
    """One seed's store, and what is asked of it."""

    def __init__(self, documents: str, seed: int, scratch: Path) -> None:
        self.session, self.version = learnt(documents, seed, scratch)
        self.base = Model(self.session.base.ref)
        self.config = learn_config(max_answer_tokens=ANSWER_TOKENS)
        self.stages = compose(self.session.base, self.config.composition, print)
        self.exam = Exam(self.stages.evaluator, Unrecorded(), make_progress())
        policy = self.version.knowledge.learnt[0].policy
        self.writer = self.base.merge(self.session._adapter(policy)) if policy else self.base

    def examples(self, item: Learnt) -> tuple[list[Example], list[Example]]:
        """A passage's training examples: statements, and pairs."""
        edit = item.edits[0]
        of_all = self.stages.domain.recipe(item.task, edit, Hyperparameters(), item.seed).examples
        bare = replace(edit, format="none", text="")
        statements = self.stages.domain.recipe(item.task, bare, Hyperparameters(), item.seed).examples
        return list(statements), list(of_all[len(statements) :])

    def trained(self, option: Option) -> tuple[Knowledge, int, float]:
        """What is known after such a training, how many tokens it saw, and the seconds that it took."""
        settings = option.settings(self.config.final("routed").hyperparameters())
        groups: dict[str, list[Learnt]] = {}
        for item in self.version.knowledge.learnt:
            groups.setdefault(item.document.sha256 if option.whole else item.task.id, []).append(item)
        recipes = [
            Recipe(
                name,
                tuple(e for item in group for e in option.examples(self, item, *self.examples(item))),
                settings,
                group[0].seed,
            )
            for name, group in groups.items()
        ]
        tokens = sum(recipe.tokens_per_epoch for recipe in recipes) * settings.epochs
        started = time.perf_counter()
        with make_progress().bar("Training", tokens, "tokens") as bar:
            updates = {u.recipe_id: u for u in self.stages.inner.adapt(recipes, self.writer, bar.advance)}
        seconds = time.perf_counter() - started
        store, held = self.session.store, []
        for name, group in groups.items():
            sha256 = store.put_adapter(updates[name], self.base.base.name)  # type: ignore[arg-type]
            held += [replace(item, adapter=sha256) for item in group]
        return Knowledge("routed", tuple(held)), tokens, seconds

    def routed(self, knowledge: Knowledge, questions: Sequence[tuple[Task, Probe]]) -> list[bool]:
        """Whether questions are answered rightly as `ask` would."""
        tasks = [replace(task, id=f"{task.id}/{probe.id}", probes=(probe,)) for task, probe in questions]
        recall = Recall(knowledge, self.base, self.session._adapter)
        return [a.verdict.correct for e in self.exam.evaluate(recall, tasks, "Asking, routed") for a in e.answers]

    def alone(self, knowledge: Knowledge, item: Learnt, scale: float = 1.0) -> Model:
        """The model under a passage's adapter, at a part of its strength, on its policy."""

        def load(sha256: str) -> Update:
            adapter = self.session._adapter(sha256)
            if sha256 != item.adapter or scale == 1:
                return adapter
            assert isinstance(adapter, Adapter)
            return scaled(adapter, scale)

        return self.base.with_update(Recall(knowledge, self.base, load)._with_policy(item))

    def by_hand(self, knowledge: Knowledge, questions: Sequence[tuple[Task, Probe]], scale: float = 1.0) -> list[bool]:
        """The same where the right passage's adapter answers, at a part of its strength."""
        models = {item.task.id: self.alone(knowledge, item, scale) for item in knowledge.learnt}
        asked = [Asked(task, probe, models[task.id]) for task, probe in questions]
        return [answer.verdict.correct for answer in self.stages.evaluator.ask(asked)]

    def first(self, knowledge: Knowledge, questions: Sequence[tuple[Task, Probe]]) -> list[bool]:
        """The same where the router's first choice answers, however unsure it is."""
        recall = Recall(knowledge, self.base, self.session._adapter)
        chosen = recall.recall([Query(probe.question) for _, probe in questions])
        asked = [
            Asked(replace(task, title=who.topic), probe, who.model)
            for (task, probe), who in zip(questions, chosen, strict=True)
        ]
        return [answer.verdict.correct for answer in self.stages.evaluator.ask(asked)]

    def titled(self, questions: Sequence[tuple[Task, Probe]]) -> list[bool]:
        """The same where whoever asks names the document."""
        asked = [
            Question(probe.question, self.version.id, topic=task.title.partition(HEADING)[0])
            for task, probe in questions
        ]
        replies = self.session.ask_all(asked, ANSWER_TOKENS)
        answered = [(probe, reply.answer) for (_, probe), reply in zip(questions, replies, strict=True)]
        return [verdict.correct for verdict in make_grader("match").grade_all(answered)]

    def untrained(self, name: str, questions: Sequence[tuple[Task, Probe]]) -> list[bool]:
        """One of the rows without training of their own."""
        known = self.version.knowledge
        if name == AS_LEARNT:
            return self.routed(known, questions)
        if name == TITLED:
            return self.titled(questions)
        return self.first(known, questions) if name == FIRST else self.in_context(known, questions, name == BOTH)

    def in_context(self, knowledge: Knowledge, questions: Sequence[tuple[Task, Probe]], both: bool) -> list[bool]:
        """Retrieval: the passage that the router finds is shown with the question."""
        recall = Recall(knowledge, self.base, self.session._adapter)
        asked = []
        for (task, probe), who in zip(questions, recall.recall([Query(p.question) for _, p in questions]), strict=True):
            found = who.source.task if who.source is not None else task
            shown = replace(found, probes=(probe,))
            asked.append((shown, who.model if both else self.writer))
        evaluations = self.stages.evaluator.evaluate(asked, with_context=True)
        return [answer.verdict.correct for answer in pooled(evaluations).answers]


def reworded(documents: str, version: Version) -> list[tuple[Task, Probe]]:
    """The same questions in other words, where there are any."""
    file = DOCUMENTS[documents] / "reworded.jsonl"
    if not file.exists():
        return []
    first = [json.loads(line) for line in (DOCUMENTS[documents] / "questions.jsonl").read_text().splitlines()]
    other = [json.loads(line)["question"] for line in file.read_text().splitlines()]
    words = {row["question"]: said for row, said in zip(first, other, strict=True)}
    return [(t, replace(p, question=words[p.question])) for t in version.tasks for p in t.probes]


def rows(documents: str, seed: int, scratch: Path, names: Sequence[str], done: set[str]) -> Any:
    """A row for each option that is not done yet."""
    bench: Bench | None = None
    for name in names:
        if name in done:
            continue
        bench = bench or Bench(documents, seed, scratch)
        questions = [(task, probe) for task in bench.version.tasks for probe in task.probes]
        row: dict[str, Any] = {"documents": documents, "seed": seed, "option": name}
        if name in UNTRAINED:
            row["routed"] = bench.untrained(name, questions)
            row["reworded"] = bench.untrained(name, reworded(documents, bench.version))
        else:
            known, row["tokens"], row["seconds"] = bench.trained(OPTIONS[name])
            row["routed"] = bench.routed(known, questions)
            row["by_hand"] = bench.by_hand(known, questions)
            row["reworded"] = bench.routed(known, reworded(documents, bench.version))
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", nargs="+", choices=DOCUMENTS, default=["demo", "held_out"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--options", nargs="+", choices=[*UNTRAINED, *OPTIONS], default=[*UNTRAINED, *OPTIONS])
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/selfedit-learning"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/options-cpu.json"))
    options = parser.parse_args()
    found: list[dict[str, Any]] = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
    for seed in options.seeds:
        for documents in options.documents:
            done = {r["option"] for r in found if (r["documents"], r["seed"]) == (documents, seed)}
            for row in rows(documents, seed, options.scratch, options.options, done):
                found.append(row)
                record = {"machine": machine(), "software": software_versions(), "rows": found}
                options.out.write_text(json.dumps(record, indent=1) + "\n")
    print("| documents | option | seeds | routed | right passage | reworded | tokens | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for documents in options.documents:
        for name in options.options:
            mine = [r for r in found if (r["documents"], r["option"]) == (documents, name)]
            if mine:
                print(_line(documents, name, mine))


def _line(documents: str, name: str, mine: Sequence[dict[str, Any]]) -> str:
    def share(key: str) -> str:
        verdicts = [verdict for row in mine for verdict in row.get(key, [])]
        return f"{sum(verdicts) / len(verdicts):.1%}" if verdicts else ""

    def mean(key: str) -> str:
        values = [row[key] for row in mine if key in row]
        return f"{sum(values) / len(values):.0f}" if values else ""

    cells = [documents, name, str(len(mine)), *map(share, ("routed", "by_hand", "reworded"))]
    return "| " + " | ".join([*cells, mean("tokens"), mean("seconds")]) + " |"


if __name__ == "__main__":
    main()
