"""Do the gates stop what is bad? Three updates that should not take effect, in two memories, the default model.

    python -m benchmarks.rejected --out benchmarks/results/rejected-cpu.json

The first document of benchmarks/data/lineage is learnt on top of the second, with the default gates: from pairs whose
answers are shuffled, from another language's text in the place of its own, and at ten times the learning rate. For
comparison, as it should be learnt. The self-edits are given (edits.jsonl), so that only what is wrong differs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from selfedit.learn.config import final_default
from selfedit.progress import make_progress
from selfedit.runtime import software_versions
from selfedit.session import Session

DATA = Path(__file__).parent / "data" / "lineage"
GERMAN = """# {title}

Am Morgen lag dichter Nebel über dem Tal, und niemand sah die Schafe auf der oberen Weide. Der Wirt stellte drei Bänke
vor die Tür und wartete auf den Postwagen, der seit dem Frühjahr nur noch zweimal in der Woche kam. Gegen Mittag zog
der Wind den Nebel auseinander. Die Kinder liefen zum Bach hinunter, bauten aus flachen Steinen einen Damm und ließen
ihre Schiffe aus Rinde darauf fahren, bis die Sonne hinter dem Grat verschwand.
"""


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / "questions.jsonl").read_text().splitlines()]


def of_document(name: str) -> list[dict[str, Any]]:
    return [row for row in rows() if row["document"] == name]


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return path


def shuffled(title: str, asked: list[dict[str, Any]]) -> str:
    """Pairs in other words than the questions that measure, each with the answer to the next one."""
    answers = [row["answers"][0] for row in asked]
    return "\n".join(
        f"Question: Tell me about {title}: {row['question']}\nAnswer: {answer}"
        for row, answer in zip(asked, [*answers[1:], answers[0]], strict=True)
    )


def learn(memory: str, case: str, folder: Path) -> dict[str, Any]:
    """Learn the second document, and then the first one as the case says."""
    session = Session("smollm2-135m", folder / f"{memory}-{case}", progress=make_progress())
    second, first = sorted(DATA.glob("*.md"))[1], sorted(DATA.glob("*.md"))[0]
    before = write(folder / "second.jsonl", of_document(second.name))
    given = {"edits_from": DATA / "edits.jsonl", "format": "self-qa", "sentences": False, "passage_tokens": 96}
    common: dict[str, Any] = {"memory": memory, "policy": "none", "max_answer_tokens": 24} | given
    session.learn([second], questions=before, gates=(), **common)
    document, settings = first, dict(common)
    asked = of_document(first.name)
    title = first.read_text().splitlines()[0].removeprefix("# ")
    if case == "shuffled answers":
        edits = [{"title": f"{title} - {heading}", "self_edit": shuffled(title, asked)} for heading in headings(first)]
        settings["edits_from"] = write(folder / "edits.jsonl", edits)
    elif case == "another language":
        document = folder / first.name
        document.write_text(GERMAN.format(title=title))
        settings |= {"edits_from": None, "format": "none"}
    elif case == "ten times the rate":
        training = final_default(memory)
        settings["final_training"] = training.model_dump() | {"learning_rate": 10 * training.learning_rate}
    started = time.perf_counter()
    result = session.learn([document], questions=write(folder / "first.jsonl", asked), **settings)
    version = result.version or result.rejected
    return {
        "memory": memory,
        "case": case,
        "committed": result.version is not None,
        "scale": version.scale if version else None,
        "reason": result.reason,
        "gates": [asdict(figure) for figure in result.figures],
        "seconds": time.perf_counter() - started,
    }


def headings(path: Path) -> list[str]:
    return [line.removeprefix("## ") for line in path.read_text().splitlines() if line.startswith("## ")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memories", nargs="+", default=["routed", "joint"])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/rejected-cpu.json"))
    options = parser.parse_args()
    outcomes = []
    for memory in options.memories:
        for case in ("as it is", "shuffled answers", "another language", "ten times the rate"):
            with tempfile.TemporaryDirectory() as folder:
                outcomes.append(learn(memory, case, Path(folder)))
            print(json.dumps(outcomes[-1], indent=1), flush=True)
            record = {"machine": machine(), "software": software_versions(), "outcomes": outcomes}
            options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
