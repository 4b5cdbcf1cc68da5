"""Eight documents learnt one after another: what does each memory keep, and what does it do to the rest of the model?

    python -m benchmarks.lineage --out benchmarks/results/lineage-cpu.json

The default model, invented documents (benchmarks/data/lineage), several orders. Self-edits are written once and given
to every memory and order, so that these differ in training alone; seeds of training differ by order. The gates are off:
a memory is to show what it does, and not what would have been stopped. After each `learn` the questions about what was
learnt so far are asked as `selfedit ask` asks them: the bare question, no title. General questions, and some that are
near the documents' topics but not in them, are asked at the end, of the base and of the version.
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
from selfedit.learn.config import learn_config
from selfedit.progress import make_progress
from selfedit.runtime import software_versions
from selfedit.session import Asked, Session
from selfedit.types import Probe

DATA = Path(__file__).parent / "data"
MEMORIES = ("routed", "merge", "replay", "joint")
_GRADER = GRADERS["match"]()


class Documents:
    """A folder of documents with their questions, and the self-edits about them."""

    def __init__(self, folder: Path, scratch: Path, session: Session) -> None:
        self.paths = sorted(folder.glob("*.md"))
        self.questions: dict[str, list[Probe]] = {path.name: [] for path in self.paths}
        for number, question in enumerate(read_questions(folder / "questions.jsonl")):
            self.questions[question.title].append(Probe(f"q{number}", question.question, question.answers))
        near = folder / "near.jsonl"
        self.near = [
            Probe(f"n{i}", q.question, q.answers) for i, q in enumerate(read_questions(near) if near.exists() else ())
        ]
        self.edits, self.asked = scratch / "edits.jsonl", folder / "questions.jsonl"
        if not self.edits.exists():
            self._write_edits(session)

    def questions_of(self, path: Path, scratch: Path) -> Path:
        """A file of the questions about one document."""
        rows = [line for line in self.asked.read_text().splitlines() if f'"{path.name}"' in line]
        target = scratch / f"{path.stem}.jsonl"
        target.write_text("\n".join(rows) + "\n")
        return target

    def _write_edits(self, session: Session) -> None:
        """One self-edit a passage, by the base, as `learn` would write it."""
        from selfedit.compose import compose
        from selfedit.files.journal import Unrecorded
        from selfedit.learn.prepare import read_sources, split_sources
        from selfedit.search.step import Search
        from selfedit.types import Model

        config = learn_config(max_edit_tokens=96)
        stages = compose(session.base, config.composition, print)
        sources = read_sources(self.paths, config)
        tasks = split_sources(sources, config.passage_tokens, lambda text: len(stages.prompter.encode(text))).tasks
        search = Search(stages, Unrecorded(), make_progress(), 24)
        edits = search.propose("", tasks, 1, Model(session.base.ref), 0)
        text_of = {edit.task_id: edit.text for edit in edits}
        rows = [{"title": t.title, "context": t.passage, "self_edit": text_of[t.id]} for t in tasks]
        self.edits.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def right(session: Session, probes: Sequence[Probe], base: bool = False) -> list[bool]:
    """Whether each bare question is answered rightly by the active version, or by the base."""
    if not probes:
        return []
    replies = session.ask_all([Asked(probe.question, None, base) for probe in probes], max_new_tokens=24)
    return [_GRADER.grade(probe, reply.answer).correct for probe, reply in zip(probes, replies, strict=True)]


def run(documents: Documents, memory: str, order: int, scratch: Path, session: Session, full: bool) -> dict[str, Any]:
    """One memory on one order of the documents."""
    store = scratch / f"store-{memory}-{order}"
    session = Session(session.model_name, store, progress=session._progress)
    paths = list(documents.paths)
    random.Random(order).shuffle(paths)
    matrix: list[list[float | None]] = []
    seconds, sizes = [], []
    for place, path in enumerate(paths):
        before = _size(store)
        started = time.perf_counter()
        result = session.learn(
            [path],
            questions=documents.questions_of(path, scratch),
            edits_from=documents.edits,
            max_answer_tokens=24,
            memory=memory,
            gates=(),
            seed=order,
        )
        assert result.version is not None, result.reason
        seconds.append(time.perf_counter() - started)
        sizes.append(_size(store) - before)
        last = place == len(paths) - 1
        row: list[float | None] = [None] * (place + 1)
        for j in range(place + 1):
            if full or last or j == place:
                row[j] = fmean(right(session, documents.questions[paths[j].name]))
        matrix.append(row)
        print(f"{memory} {order}: {path.name} {seconds[-1]:.0f} s, {row}", flush=True)
    general = [probe for task in general_tasks() for probe in task.probes]
    return {
        "memory": memory,
        "order": order,
        "documents": [path.name for path in paths],
        "matrix": matrix,
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
        final = [fmean(run["matrix"][-1]) for run in mine]
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
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    session = Session("smollm2-135m", options.scratch / "none", progress=make_progress(True))
    documents = Documents(options.data, options.scratch, session)
    general = [probe for task in general_tasks() for probe in task.probes]
    asked = [probe for probes in documents.questions.values() for probe in probes]
    base = {
        "general": right(session, general, base=True),
        "near": right(session, documents.near, base=True),
        "learnt": right(session, asked, base=True),
    }
    runs: list[dict[str, Any]] = []
    record = {"machine": machine(), "software": software_versions(), "base": base, "runs": runs}
    # Order by order, so that what is there when time is up is paired.
    for order in options.orders:
        for memory in options.memories:
            runs.append(run(documents, memory, order, options.scratch, session, order in options.full))
            record["summary"] = summary(runs, base)
            options.out.write_text(json.dumps(record, indent=1) + "\n")
    print(table(record))


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
