"""What does `learn` reach at its defaults? On the demo's documents, and on six others that nothing was chosen by.

    python -m benchmarks.learning --out benchmarks/results/learning-cpu.json

The default model, invented documents, questions that a person wrote. Asked as `selfedit ask` asks: bare, without a
title, routed. Beside what was learnt: the same questions with the right passage in context, by the base and by the
starting policy, which is what reading allows. Interrupted, it goes on; a store that is there already is only asked.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.machine import machine
from selfedit.compose import compose
from selfedit.experiments.named_policy import load_policy
from selfedit.learn.budget import parse_budget, plan
from selfedit.learn.config import LearnConfig, learn_config
from selfedit.policies.coverage import coverage
from selfedit.policies.formats import parse_pairs
from selfedit.progress import make_progress
from selfedit.runtime import software_versions
from selfedit.session import Session
from selfedit.text.matching import answer_in_passage
from selfedit.types import Model, Version, pooled

ROOT = Path(__file__).parent
DOCUMENTS = {
    "demo": ROOT.parent / "selfedit" / "data" / "demo",
    "held_out": ROOT / "data" / "held_out",
    "unseen": ROOT / "data" / "unseen",
}
ANSWER_TOKENS = 24


@dataclass(frozen=True)
class Effort:
    """What `learn` is told besides the documents; its defaults where nothing is."""

    budget: str = ""
    wordings: int | None = None
    epochs: int | None = None
    policy: str = ""
    format: str = ""

    @property
    def name(self) -> str:
        """In the names of stores, and in results."""
        counts = [f"{n} {what}" for n, what in ((self.wordings, "wordings"), (self.epochs, "epochs")) if n]
        policy = f"policy {self.policy}" if self.policy else ""
        return ", ".join(filter(None, (self.budget, *counts, self.format, policy)))

    @property
    def settings(self) -> dict[str, Any]:
        """As `Session.learn` takes it."""
        given: dict[str, Any] = {"budget": parse_budget(self.budget)} if self.budget else {}
        told = {"wordings": self.wordings, "policy": self.policy, "format": self.format}
        given |= {name: value for name, value in told.items() if value}
        return given | ({"final_training": {"epochs": self.epochs}} if self.epochs else {})


DEFAULTS = Effort()


def learnt(documents: str, seed: int, scratch: Path, effort: Effort = DEFAULTS) -> tuple[Session, Version]:
    """The version that `learn` makes of a set of documents."""
    store = scratch / "-".join(filter(None, (documents, str(seed), effort.name.replace(", ", "-").replace(" ", ""))))
    session = Session("smollm2-135m", store, progress=make_progress())
    if not (store / "store.json").exists() or not session.store.ids():
        folder = DOCUMENTS[documents]
        paths = sorted(folder.glob("*.md"))
        questions = folder / "questions.jsonl"
        session.learn(
            paths,
            questions=questions,
            max_answer_tokens=ANSWER_TOKENS,
            seed=seed,
            again=True,
            gates=(),
            **effort.settings,
        )
    return session, session.show()


def in_context(session: Session, version: Version, policy: str) -> float:
    """The share of the questions that are answered with the right passage at hand."""
    stages = compose(session.base, learn_config(max_answer_tokens=ANSWER_TOKENS).composition, print)
    model, adapter = Model(session.base.ref), load_policy(policy, session.base)
    model = model if adapter is None else model.merge(adapter)
    evaluations = stages.evaluator.evaluate([(task, model) for task in version.tasks], with_context=True)
    return pooled(evaluations).accuracy


def taught(version: Version) -> list[bool]:
    """Whether the answer to each question, in the order of answers, is one that its passage's self-edits ask for."""
    said: dict[str, list[str]] = {}
    for rollout in version.rollouts:
        if rollout.kept:
            said.setdefault(rollout.edit.task_id, []).extend(pair.text for pair in parse_pairs(rollout.edit.text))
    return [
        any(
            answer_in_passage(gold, text) or answer_in_passage(text, gold)
            for gold in probe.answers
            for text in said.get(task.id, ())
        )
        for task in version.tasks
        for probe in task.probes
    ]


def row(documents: str, seed: int, scratch: Path, effort: Effort = DEFAULTS, read: bool = True) -> dict[str, Any]:
    """What one run reached, and what reading would."""
    session, version = learnt(documents, seed, scratch, effort)
    asked, there = coverage(version)
    return {
        "documents": documents,
        "seed": seed,
        "told": effort.name,
        "effort": plan(LearnConfig(**version.settings)),
        "passages": len(version.tasks),
        "base": version.base_accuracy,
        "learnt": [answer.verdict.correct for after in version.after for answer in after.answers],
        "taught": taught(version),
        "in_context_base": in_context(session, version, "none") if read else None,
        "in_context_policy": in_context(session, version, "bundled") if read else None,
        "pairs": sum(len(parse_pairs(rollout.edit.text)) for rollout in version.rollouts if rollout.kept),
        "sentences": there,
        "sentences_covered": asked,
        "seconds": version.seconds,
        "gates": [figure.text for figure in version.gates],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", nargs="+", choices=DOCUMENTS, default=list(DOCUMENTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--budget", default="", help="as of `learn`")
    parser.add_argument("--wordings", type=int, help="as of `learn`")
    parser.add_argument("--epochs", type=int, help="as of `learn`")
    parser.add_argument("--policy", default="", help="as of `learn`")
    parser.add_argument("--format", default="", help="as of `learn`")
    parser.add_argument("--unread", action="store_true", help="without the figures with the passage in context")
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/selfedit-learning"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/learning-cpu.json"))
    options = parser.parse_args()
    effort = Effort(options.budget, options.wordings, options.epochs, options.policy, options.format)
    rows: list[dict[str, Any]] = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
    for seed in options.seeds:
        for documents in options.documents:
            wanted = (documents, seed, effort.name)
            if any((each["documents"], each["seed"], each["told"]) == wanted for each in rows):
                continue
            rows.append(row(documents, seed, options.scratch, effort, not options.unread))
            record = {"machine": machine(), "software": software_versions(), "rows": rows}
            options.out.write_text(json.dumps(record, indent=1) + "\n")
    print("| documents | seed | told | learnt | of taught | in context, base | by the policy | sentences | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for each in rows:
        known = [right for right, was_taught in zip(each["learnt"], each.get("taught", ()), strict=False) if was_taught]
        shares = [each["documents"], each["seed"], each["told"], f"{fmean(each['learnt']):.1%}"]
        shares.append(f"{sum(known)} of {len(known)}" if "taught" in each else "")
        read = [each["in_context_base"], each["in_context_policy"]]
        shares += ["" if share is None else f"{share:.1%}" for share in read]
        shares += [f"{each['sentences_covered']} of {each['sentences']}", f"{each['seconds']:.0f}"]
        print("| " + " | ".join(map(str, shares)) + " |")


if __name__ == "__main__":
    main()
