"""What does the starting policy, or a passage's adapter that answers everything, cost of what the model could do?

    python -m benchmarks.always_on --out benchmarks/results/always_on-cpu.json

The general questions of the gate, and 20 kB of plain text (SQuAD validation passages, which nothing was trained on):
the base; the starting policy alone; some passages' adapters of a store of `benchmarks.learning`, each on top of the
policy as it is exported, without a router; and the version as `ask` routes. A router hides from `ask` what whoever
exports an adapter gets. `--scales` weakens the adapters: what is left then of what they were taught (the demo's
questions, each put to its own passage's adapter), and of what the model could do.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.machine import recorded
from benchmarks.options import Bench
from benchmarks.starting_policy import SQUAD
from selfedit.documents.general import general_tasks
from selfedit.generate.base import Scored
from selfedit.memory.recall import Recall
from selfedit.search.exam import divergence
from selfedit.types import Knowledge, Model

TEXT_BYTES = 20_000


def plain_texts() -> list[str]:
    """SQuAD's validation passages, as many as there are in 20 kB."""
    passages = json.loads((SQUAD / "val.json").read_text())
    texts: list[str] = []
    for number in json.loads((SQUAD / "val200.index.json").read_text()):
        texts.append(passages[number]["context"])
        if sum(len(text.encode()) for text in texts) >= TEXT_BYTES:
            break
    return texts


class Always:
    """Asks one model everything.

    Args:
        bench: whose version and stages are used.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench, self._tasks, self._texts = bench, general_tasks(), plain_texts()

    def row(self, name: str, model: Model) -> dict[str, Any]:
        """The questions one by one, and what a token of the texts costs, in nats."""
        stages = self._bench.stages
        answers = [e.answers for e in stages.general.evaluate([(task, model) for task in self._tasks])]
        tokens = [stages.prompter.text(text) for text in self._texts]
        items = [Scored(text[:1], text[1:], model) for text in tokens]
        weights = [len(item.target) for item in items]
        scores = stages.generator.score(items)
        nats = -sum(score * weight for score, weight in zip(scores, weights, strict=True)) / sum(weights)
        diverged = (
            0.0
            if model == self._bench.base
            else fmean(stages.generator.divergence([(text, model) for text in tokens], self._bench.base))
        )
        right = [answer.verdict.correct for of_task in answers for answer in of_task]
        return self._told({"model": name, "general": right, "nats a token": nats, "divergence": diverged})

    def routed(self, knowledge: Knowledge) -> dict[str, Any]:
        """The same as `ask` routes."""
        bench = self._bench
        recall = Recall(knowledge, bench.base, bench.session._adapter)
        evaluations = bench.exam.evaluate(recall, self._tasks, "Asking, routed")
        right = [answer.verdict.correct for e in evaluations for answer in e.answers]
        diverged = divergence(recall, self._texts, bench.base, bench.stages.generator, bench.stages.prompter)
        return self._told({"model": "as `ask` routes", "general": right, "divergence": diverged})

    def taught(self, knowledge: Knowledge, scale: float) -> list[bool]:
        """The version's own questions, each put to its passage's adapter at a part of its strength."""
        questions = [(task, probe) for task in self._bench.version.tasks for probe in task.probes]
        right = self._bench.by_hand(knowledge, questions, scale)
        print(f"at {scale:g} of their strength the adapters answer {sum(right)} of {len(right)}", flush=True)
        return right

    def _told(self, row: dict[str, Any]) -> dict[str, Any]:
        nats = f"{row['nats a token']:.3f}" if "nats a token" in row else ""
        right = row["general"]
        print(f"| {row['model']} | {sum(right)} of {len(right)} | {nats} | {row['divergence']:.3f} |", flush=True)
        return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--adapters", type=int, default=3, help="how many passages' adapters are asked everything")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0, 0.5, 0.25])
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/selfedit-learning"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/always_on-cpu.json"))
    options = parser.parse_args()
    bench = Bench("demo", options.seed, options.scratch)
    known = bench.version.knowledge
    always = Always(bench)
    print("| always on | general questions right | nats a token of plain text | from the base, nats a token |")
    print("|---|---|---|---|")
    rows = [always.row("the base", bench.base), always.row("the starting policy", bench.writer)]
    step = max(1, len(known.learnt) // options.adapters)
    for scale in options.scales:
        for item in known.learnt[::step][: options.adapters]:
            rows.append(always.row(f"{scale:g} x the adapter of '{item.task.title}'", bench.alone(known, item, scale)))
    rows.append(always.routed(known))
    taught = {scale: always.taught(known, scale) for scale in options.scales}
    recorded({"rows": rows, "taught": taught}, options)


if __name__ == "__main__":
    main()
