"""A document of 30 pages in half an hour: does `learn --budget` keep its time, and what is known afterwards?

    python -m benchmarks.long_document --out benchmarks/results/long_document-cpu.json

The 47 passages that SQuAD's development set has of "Yuan dynasty", one after another as a document of 7,200 words,
and the first question that people asked about each. The default model knows some of it before; its starting policy
practised asking on passages of the same set, which teaches no fact.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.machine import recorded
from benchmarks.starting_policy import SQUAD
from selfedit.learn.budget import parse_budget, plan
from selfedit.learn.config import LearnConfig
from selfedit.policies.coverage import coverage
from selfedit.progress import make_progress
from selfedit.session import Session


def write_document(folder: Path, title: str) -> tuple[Path, Path]:
    """A document of all passages of an article, and a file with a question about each."""
    passages: list[dict[str, Any]] = json.loads((SQUAD / "val.json").read_text())
    mine = [passage for passage in passages if passage["title"] == title]
    folder.mkdir(parents=True, exist_ok=True)
    document, questions = folder / "document.md", folder / "questions.jsonl"
    document.write_text(f"# {title}\n\n" + "\n\n".join(passage["context"] for passage in mine) + "\n")
    asked = [passage["questions"][0] for passage in mine]
    questions.write_text("".join(json.dumps({"question": q["question"], "answer": q["answer"]}) + "\n" for q in asked))
    return document, questions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--title", default="Yuan dynasty")
    parser.add_argument("--budget", default="30m")
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/selfedit-long-document"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/long_document-cpu.json"))
    options = parser.parse_args()
    document, questions = write_document(options.scratch, options.title)
    session = Session("smollm2-135m", options.scratch / "store", progress=make_progress())
    result = session.learn([document], questions=questions, budget=parse_budget(options.budget))
    version = result.version or result.rejected
    if version is None:
        raise SystemExit(f"Nothing was learnt: {result.reason}.")
    asked, there = coverage(version)
    record = {
        "words": len(document.read_text().split()),
        "passages": len(result.tasks),
        "effort": plan(LearnConfig(**version.settings)),
        "seconds": version.seconds,
        "sentences": there,
        "sentences_covered": asked,
        "questions": sum(len(task.probes) for task in result.tasks),
        "base": fmean(answer.verdict.correct for each in version.before for answer in each.answers),
        "learnt": fmean(answer.verdict.correct for each in version.after for answer in each.answers),
        "committed": result.version is not None,
        "gates": [figure.text for figure in version.gates],
    }
    print(json.dumps(record, indent=1))
    recorded(record, options)


if __name__ == "__main__":
    main()
