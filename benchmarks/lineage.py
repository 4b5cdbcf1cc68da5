"""Eight documents learnt one after another: what does each memory keep, and what does it do to the rest of the model?

    python -m benchmarks.lineage --out benchmarks/results/lineage-cpu.json

The default model, invented documents (benchmarks/data/lineage), several orders. The self-edits are given (edits.jsonl:
a question and its answer for each sentence, as a good writer would ask), so that memories and orders differ in training
alone; its seeds differ by order. The gates are off: a memory is to show what it does, and not what would have been
stopped. The questions, which are worded otherwise, are asked as `selfedit ask` asks: bare, without a title. General
questions, and some that are near the documents' topics but not in them, are asked at the end, of base and version.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.machine import machine
from selfedit.documents import read_questions
from selfedit.documents.general import general_tasks
from selfedit.graders import GRADERS
from selfedit.learn.config import final_default
from selfedit.progress import make_progress
from selfedit.report import heat_map
from selfedit.runtime import software_versions
from selfedit.session import Asked, Session
from selfedit.text.matching import answer_in_passage
from selfedit.types import Probe

DATA = Path(__file__).parent / "data"
MEMORIES = ("routed", "merge", "replay", "joint")
EPOCHS = 6
PASSAGE_TOKENS = 96  # A section of these documents.
ORDERED = ("merge", "replay")
"""What depends on the order: a routed adapter sees its own passage alone, and joint training everything at once."""

JOINT_STEPS = (1, 2, 4, 8)  # It trains on everything each time, and half of its steps show that.
_GRADER = GRADERS["match"]()


class Documents:
    """The first sections of a folder's documents with their questions, and the self-edits about them.

    One section each, so that all memories in three orders take an hour of two cores and not two.
    """

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.paths = []
        for path in sorted(folder.glob("*.md")):
            title, first, *_ = path.read_text().split("\n## ")
            self.paths.append(scratch / path.name)
            self.paths[-1].write_text(f"{title}\n## {first}\n")
        self.questions: dict[str, list[Probe]] = {path.name: [] for path in self.paths}
        for number, question in enumerate(read_questions(folder / "questions.jsonl")):
            if answer_in_passage(question.answers[0], (scratch / question.title).read_text()):
                self.questions[question.title].append(Probe(f"q{number}", question.question, question.answers))
        near = read_questions(folder / "near.jsonl")
        self.near = [Probe(f"n{number}", q.question, q.answers) for number, q in enumerate(near)]
        self.edits = folder / "edits.jsonl"

    def questions_of(self, paths: Sequence[Path], scratch: Path) -> Path:
        """A file of the questions about some documents."""
        target = scratch / "questions.jsonl"
        rows = [
            {"document": path.name, "question": probe.question, "answers": probe.answers}
            for path in paths
            for probe in self.questions[path.name]
        ]
        target.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        return target


def right(session: Session, probes: Sequence[Probe], base: bool = False) -> list[bool]:
    """Whether each bare question is answered rightly by the active version, or by the base."""
    if not probes:
        return []
    replies = session.ask_all([Asked(probe.question, None, base) for probe in probes], max_new_tokens=24)
    return [_GRADER.grade(probe, reply.answer).correct for probe, reply in zip(probes, replies, strict=True)]


def learn(
    session: Session, documents: Documents, paths: Sequence[Path], memory: str, order: int, scratch: Path
) -> float:
    """Learn documents, and return the seconds that it took."""
    training = final_default(memory).model_dump() | {"epochs": EPOCHS}
    started = time.perf_counter()
    result = session.learn(
        paths,
        # What joint training costs and does is the same whether the documents came one by one or at once.
        parent="base" if memory == "joint" else None,
        questions=documents.questions_of(paths, scratch),
        edits_from=documents.edits,
        format="self-qa",
        passage_tokens=PASSAGE_TOKENS,
        sentences=False,
        max_answer_tokens=24,
        final_training=training,
        memory=memory,
        gates=(),
        seed=order,
        policy="none",
        again=True,
    )
    assert result.version is not None, result.reason
    return time.perf_counter() - started


def run(documents: Documents, memory: str, order: int, scratch: Path, session: Session, full: bool) -> dict[str, Any]:
    """One memory on one order of the documents."""
    store = scratch / f"store-{memory}-{order}"
    session = Session(session.model_name, store, progress=make_progress(True))
    paths = list(documents.paths)
    random.Random(order).shuffle(paths)
    steps = [step for step in range(len(paths)) if memory != "joint" or step + 1 in JOINT_STEPS]
    matrix: dict[int, list[float | None]] = {}
    seconds, sizes = [], []
    for step in steps:
        before = _size(store)
        new = paths[: step + 1] if memory == "joint" else [paths[step]]
        seconds.append(learn(session, documents, new, memory, order, scratch))
        sizes.append(_size(store) - before)
        # The last step asks about everything; of one order every step does, for a picture.
        asked = range(step + 1) if full or step == steps[-1] else [step]
        probes = [documents.questions[paths[j].name] for j in asked]
        verdicts = iter(right(session, [probe for each in probes for probe in each]))
        row: list[float | None] = [None] * (step + 1)
        for j, each in zip(asked, probes, strict=True):
            row[j] = fmean(next(verdicts) for _ in each)
        matrix[step] = row
        print(f"{memory} {order}: {paths[step].name} {seconds[-1]:.0f} s, {row}", flush=True)
    general = [probe for task in general_tasks() for probe in task.probes]
    return {
        "memory": memory,
        "order": order,
        "documents": [path.name for path in paths],
        "steps": steps,
        "matrix": [matrix[step] for step in steps],
        "seconds": seconds,
        "bytes": sizes,
        "general": right(session, general),
        "near": right(session, documents.near),
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0


def summary(runs: Sequence[dict[str, Any]], base: dict[str, list[bool]]) -> list[dict[str, Any]]:
    """A row a memory, over its orders."""
    rows = []
    for memory in dict.fromkeys(run["memory"] for run in runs):
        mine = [run for run in runs if run["memory"] == memory]
        after = [fmean(row[-1] for row in run["matrix"]) for run in mine]
        # Of the same documents, so that nothing but time lies between the two.
        final = [fmean(run["matrix"][-1][step] for step in run["steps"]) for run in mine]
        row = {"memory": memory, "orders": len(mine), "right_after": after, "final": final}
        row["forgotten"] = [a - f for a, f in zip(after, final, strict=True)]
        for name in ("general", "near"):
            row[name] = [fmean(run[name]) - fmean(base[name]) for run in mine]
        row["seconds"] = [fmean(run["seconds"][i] for run in mine) for i in range(len(mine[0]["seconds"]))]
        row["bytes"] = [fmean(run["bytes"][i] for run in mine) for i in range(len(mine[0]["bytes"]))]
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA / "lineage")
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/selfedit-lineage"))
    parser.add_argument("--memories", nargs="+", default=MEMORIES)
    parser.add_argument("--orders", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--full", type=int, nargs="*", default=[0], help="orders whose whole matrix is asked")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/lineage-cpu.json"))
    parser.add_argument("--figures", type=Path, default=Path("docs/results/lineage"))
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    session = Session("smollm2-135m", options.scratch / "none", progress=make_progress(True))
    documents = Documents(options.data, options.scratch)
    general = [probe for task in general_tasks() for probe in task.probes]
    asked = [probe for probes in documents.questions.values() for probe in probes]
    base = {
        "general": right(session, general, base=True),
        "near": right(session, documents.near, base=True),
        "learnt": right(session, asked, base=True),
    }
    # What was run before is kept: an hour may be spent in parts.
    runs: list[dict[str, Any]] = json.loads(options.out.read_text())["runs"] if options.out.exists() else []
    done = {(each["memory"], each["order"]) for each in runs}
    record = {"machine": machine(), "software": software_versions(), "base": base, "runs": runs}
    # Order by order, so that what is there when time is up is paired.
    for order in options.orders:
        for memory in options.memories:
            if (memory, order) in done or (memory not in ORDERED and order != options.orders[0]):
                continue
            runs.append(run(documents, memory, order, options.scratch, session, order in options.full))
            record["summary"] = summary(runs, base)
            options.out.write_text(json.dumps(record, indent=1) + "\n")
    draw(runs, options.figures)
    print(table(record))


def draw(runs: Sequence[dict[str, Any]], folder: Path) -> None:
    """A heat map a memory, of the order whose whole matrix was asked."""
    folder.mkdir(parents=True, exist_ok=True)
    for run in runs:
        if any(value is None for row in run["matrix"] for value in row):
            continue
        names = [Path(name).stem[3:] for name in run["documents"]]
        rows = [names[step] for step in run["steps"]]
        title = f"{run['memory']}: share right, after each document was learnt"
        svg = heat_map(run["matrix"], rows, names, title=title, note="row: learnt last; column: asked about")
        (folder / f"{run['memory']}.svg").write_text(svg, encoding="utf-8")


def table(record: dict[str, Any]) -> str:
    """The summary as Markdown, means over orders in percent."""
    lines = [
        "| memory | right after | at the end | forgotten | general | near | first step, s | last step, s | MB a step |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for row in record["summary"]:
        cells = [_mean(row[name]) for name in ("right_after", "final", "forgotten")]
        cells += [_mean(row[name], sign=True) for name in ("general", "near")]
        cells += [f"{row['seconds'][0]:.0f}", f"{row['seconds'][-1]:.0f}", f"{fmean(row['bytes']) / 1e6:.1f}"]
        lines.append(f"| {row['memory']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(values: Sequence[float], sign: bool = False) -> str:
    """The mean with the least and the most of the orders, in points."""
    form = "{:+.1f}" if sign else "{:.1f}"
    mean, low, high = (form.format(100 * each) for each in (fmean(values), min(values), max(values)))
    return f"{mean} ({low} to {high})"


if __name__ == "__main__":
    main()
