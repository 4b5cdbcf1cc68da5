"""What do the guards catch, and what do they stop by mistake? And what of the uncaught ends up in answers?

    python -m benchmarks.guard --documents reported_on --learn --out benchmarks/results/guard-cpu.json

Documents of `benchmarks/data/guard`: sixty with something planted, sixty of the same look without, and some of four
more kinds. What is known are the demo's three documents, with the questions that a person wrote about them; no version
was trained, so that the present answers are the base's. Each kind is screened as one folder, with the rules alone, and
with the default model and its starting policy as the reader of contradictions.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.guard_documents import KINDS, MORE_KINDS, Planted, documents, questions
from benchmarks.machine import machine
from selfedit.compose import compose_domain
from selfedit.documents import assign, read_documents, read_questions, split
from selfedit.domains.knowledge import KnowledgeDomain
from selfedit.experiments.named_policy import load_policy
from selfedit.generate import make_generator
from selfedit.guard import DEFAULT_GUARDS, Known, Text, make_guard, screen
from selfedit.learn.screen import ModelReader
from selfedit.memory.recall import Recall
from selfedit.models.load import load
from selfedit.session import Session
from selfedit.text.matching import answer_in_passage
from selfedit.types import DocumentRef, Flag, Knowledge, Learnt, Model, Probe, Task

DEMO = Path(__file__).parents[1] / "selfedit" / "data" / "demo"
_TOKENS = 64


def _count(text: str) -> int:
    return math.ceil(1.4 * len(text.split()))


def known() -> tuple[Learnt, ...]:
    """The demo's documents, as they are known."""
    asked = read_questions(DEMO / "questions.jsonl")
    learnt = []
    for document in read_documents(sorted(DEMO.glob("*.md"))):
        mine = [question for question in asked if question.title in (document.title, Path(document.path).name)]
        for number, passage in enumerate(assign(mine, split(document, _count, _TOKENS).passages)):
            probes = tuple(Probe(f"q{n}", each.question, each.answers) for n, each in enumerate(passage.probes))
            task = Task(f"{document.sha256[:12]}.p{number}", passage.title, passage.text, probes)
            learnt.append(Learnt(DocumentRef(document.path, document.title, document.sha256), task, ()))
    return tuple(learnt)


def reader() -> ModelReader:
    """The default model, which knows nothing yet."""
    base = load("smollm2-135m")
    policy, model = load_policy(None, base), Model(base.ref)
    domain = compose_domain(base, "knowledge", {})
    assert isinstance(domain, KnowledgeDomain) and policy is not None
    nothing = Recall(Knowledge(), model, lambda sha256: policy)
    return ModelReader(make_generator("batched", base), domain, nothing, model.merge(policy))


def screened(batch: Sequence[Planted], held_against: Known) -> dict[int, list[Flag]]:
    """The flags of documents, by their numbers."""
    texts = [
        Text(str(number), document.title, f"{number}.md", tuple(filter(None, document.text.split("\n\n"))))
        for number, document in enumerate(batch)
    ]
    flags: dict[int, list[Flag]] = {}
    for flag in screen([make_guard(name) for name in DEFAULT_GUARDS], texts, held_against):
        flags.setdefault(int(flag.where), []).append(flag)
    return flags


def wilson(count: int, n: int) -> tuple[float, float]:
    """The 95% interval of a share."""
    z = NormalDist().inv_cdf(0.975)
    middle, width = (count + z * z / 2) / (n + z * z), z / (n + z * z) * math.sqrt(count * (n - count) / n + z * z / 4)
    return max(0.0, middle - width), min(1.0, middle + width)


def measured(name: str, held_against: Known) -> list[dict[str, Any]]:
    """A row for each kind, planted and not."""
    rows = []
    everything = documents(name)
    for kind in (*KINDS, *MORE_KINDS):
        for planted in (True, False):
            batch = [document for document in everything if (document.kind, document.planted) == (kind, planted)]
            start = time.monotonic()
            flags = screened(batch, held_against)
            wrong = [i for i in range(len(batch)) if (i in flags) != planted]
            rows.append(
                {
                    "kind": kind,
                    "planted": planted,
                    "documents": len(batch),
                    "stopped": len(flags),
                    "by": {i: sorted({flag.kind for flag in flags[i]}) for i in flags},
                    "wrong": [{"title": batch[i].title, "thing": batch[i].thing, "text": batch[i].text} for i in wrong],
                    "seconds": round(time.monotonic() - start, 2),
                }
            )
    return rows


def answered(name: str, scratch: Path) -> list[dict[str, Any]]:
    """What is answered about what was planted and not caught at first, each document learnt alone, without gates."""
    said = []
    asked = questions(name)
    uncaught = {
        document.thing: document for document in documents(name) if document.planted and document.thing in asked
    }
    for number, (thing, document) in enumerate(uncaught.items()):
        question, planted = asked[thing]
        path = scratch / f"{number}.md"
        path.write_text(f"# {document.title}\n\n{document.text}\n", encoding="utf-8")
        session = Session("smollm2-135m", scratch / f"store-{number}")
        # It measures, and is not trained on.
        asking = scratch / f"{number}.jsonl"
        asking.write_text(json.dumps({"question": question, "answer": planted}) + "\n", encoding="utf-8")
        result = session.learn([path], questions=asking, guards=(), gates=(), keep_untested=True)
        answer = session.ask(question).answer if result.version is not None else ""
        said.append(
            {"thing": thing, "question": question, "answer": answer, "planted": answer_in_passage(planted, answer)}
        )
        print(said[-1], flush=True)
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", default="reported_on", choices=("chosen_on", "reported_on"))
    parser.add_argument("--learn", action="store_true", help="learn what the first run did not catch, and ask about it")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    learnt = known()
    result: dict[str, Any] = {"machine": machine(), "documents": given.documents}
    for label, held_against in (("rules", Known(learnt)), ("with reader", Known(learnt, (), reader()))):
        result[label] = measured(given.documents, held_against)
        print(f"\n{label}")
        print("| kind | caught | | falsely stopped | |\n|---|---|---|---|---|")
        by_kind = {(row["kind"], row["planted"]): row for row in result[label]}
        sums = [[0, 0], [0, 0]]
        for kind in (*KINDS, "the sixty", *MORE_KINDS):
            cells = []
            for number, planted in enumerate((True, False)):
                if kind in (*KINDS, *MORE_KINDS):
                    stopped, n = by_kind[kind, planted]["stopped"], by_kind[kind, planted]["documents"]
                    sums[number] = [sums[number][0] + stopped, sums[number][1] + n]
                else:
                    stopped, n = sums[number]
                low, high = wilson(stopped, n)
                cells.append(f"{stopped} of {n} | {stopped / n:.0%} ({low:.0%} to {high:.0%})")
            print(f"| {kind} | {' | '.join(cells)} |")
    if given.learn:
        with TemporaryDirectory() as scratch:
            start = time.process_time()
            result["answers"] = answered(given.documents, Path(scratch))
            result["cpu_seconds"] = round(time.process_time() - start, 1)
    if given.out is not None:
        given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
