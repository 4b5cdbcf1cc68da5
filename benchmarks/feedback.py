"""What does feedback mend? 20 questions that a learnt store answers wrongly, corrected in one update.

    python -m benchmarks.feedback --store /tmp/selfedit-learning/held_out-0 --out benchmarks/results/feedback-cpu.json

The store is what `python -m benchmarks.learning --documents held_out --seeds 0` leaves (the default model).
It is copied first. Of the questions with other wordings (benchmarks/data/feedback, written before any of them was
corrected, never trained on; for `--documents unseen` its own) those count that are answered wrongly, at most 20. Asked
as `selfedit ask` asks. Elsewhere: the other questions about the documents; what the bundled general ones lose is in the
gate's figures.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from selfedit.graders import make_grader
from selfedit.progress import make_progress
from selfedit.runtime import software_versions
from selfedit.session import Asked, Session
from selfedit.store import Feedback
from selfedit.types import Probe

ROOT = Path(__file__).parent / "data"
ANSWER_TOKENS = 24


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def documents(name: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """By question: right answers, and other wordings."""
    questions = rows(ROOT / name / "questions.jsonl")
    gold = {row["question"]: row["answers"] for row in questions}
    if name == "held_out":
        return gold, {row["question"]: row["rewordings"] for row in rows(ROOT / "feedback" / "held_out.jsonl")}
    reworded = rows(ROOT / name / "reworded.jsonl")
    return gold, {row["question"]: [other["question"]] for row, other in zip(questions, reworded, strict=True)}


def asked(session: Session, questions: Sequence[tuple[str, Sequence[str]]]) -> tuple[list[str], list[bool]]:
    """The answers, and which are right."""
    if not questions:
        return [], []
    replies = [reply.answer for reply in session.ask_all([Asked(q) for q, _ in questions], ANSWER_TOKENS)]
    probes = [Probe(str(n), question, tuple(answers)) for n, (question, answers) in enumerate(questions)]
    verdicts = make_grader("match").grade_all(list(zip(probes, replies, strict=True)))
    return replies, [verdict.correct for verdict in verdicts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", choices=("held_out", "unseen"), default="held_out")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/selfedit-feedback"))
    parser.add_argument("--most", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/feedback-cpu.json"))
    options = parser.parse_args()
    if not (options.scratch / "store").exists():
        shutil.copytree(options.store, options.scratch / "store")
    session = Session("smollm2-135m", options.scratch / "store", progress=make_progress(), actor="benchmark")
    gold, others = documents(options.documents)
    every = list(gold.items())
    _, right = asked(session, every)
    wrong = [q for (q, _), ok in zip(every, right, strict=True) if not ok and q in others][: options.most]
    corrected = [(q, gold[q]) for q in wrong]
    reworded = [(other, gold[q]) for q in wrong for other in others[q]]
    elsewhere = [(q, answers) for q, answers in every if q not in wrong]
    sets = {"corrected": corrected, "rewordings": reworded, "elsewhere": elsewhere}
    before = {name: asked(session, questions) for name, questions in sets.items()}
    session.feedback([Feedback(q, gold[q][0], who="ana") for q in wrong])
    started = time.monotonic()
    result = session.learn_feedback()
    seconds = time.monotonic() - started
    after = {name: asked(session, questions) for name, questions in sets.items()}
    made = (*result.versions, *result.pending, *result.rejected)
    record: dict[str, Any] = {
        "machine": machine(),
        "software": software_versions(),
        "seconds": seconds,
        "versions": [version.id for version in made],
        "reasons": list(result.reasons),
        "flags": [flag.kind for flag in result.flags],
        "gates": [f"{figure.gate}: {figure.text}" for version in made for figure in version.gates],
        "retrained": [
            sum(item.version == version.id for item in version.knowledge.learnt) for version in result.versions
        ],
        "sets": {
            name: {
                "before": sum(before[name][1]),
                "after": sum(after[name][1]),
                "lost": sum(b and not a for b, a in zip(before[name][1], after[name][1], strict=True)),
                "of": len(sets[name]),
                "answers": [
                    {"question": q, "gold": answers[0], "before": was, "after": now, "right": ok}
                    for (q, answers), was, now, ok in zip(
                        sets[name], before[name][0], after[name][0], after[name][1], strict=True
                    )
                ],
            }
            for name in sets
        },
    }
    options.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print("| | before | after | lost | of |\n|---|---|---|---|---|")
    for name, each in record["sets"].items():
        print(f"| {name} | {each['before']} | {each['after']} | {each['lost']} | {each['of']} |")
    print(f"{seconds:.0f} s; {record['versions']} {record['reasons']}")


if __name__ == "__main__":
    main()
