"""`selfedit demo`: the main job on documents that no model has seen."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from selfedit.cli import options, output
from selfedit.cli.learn import as_json, print_summary
from selfedit.progress import make_progress
from selfedit.session import Session

if TYPE_CHECKING:
    from selfedit.learn.run import LearnResult

DEMO: dict[str, Any] = {
    "edits": 1,
    "max_edit_tokens": 96,
    "max_answer_tokens": 24,
    "again": True,
}
"""Settings in which the demo differs from `selfedit learn`."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", epilog=options.examples("selfedit demo", "selfedit demo --store /tmp/demo --json"))(_demo)


def _demo(
    json: options.Json = False,
    seed: options.Seed = None,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Learn the bundled documents, about invented things, and show what that changed, question by question."""
    session = Session(model, store, device, make_progress(quiet))
    settings = DEMO if seed is None else DEMO | {"seed": seed}
    with as_file(files("selfedit") / "data" / "demo") as folder:
        documents = sorted(path for path in Path(folder).iterdir() if path.suffix != ".jsonl")
        result = session.learn(documents, questions=folder / "questions.jsonl", **settings)
    if json:
        output.print_json(as_json(result, session.model_name, store) | {"answers": _answers(result)})
        return
    rows = [(row["question"], row["gold"], _marked(row["base"]), _marked(row["adapted"])) for row in _answers(result)]
    totals = output.percent(output.accuracy(result.before)), output.percent(output.accuracy(result.after))
    rows.append((f"{len(rows)} questions", "", *totals))
    output.table(("question", "answer", "base", "adapted"), rows, totals=True)
    print_summary(result, store, model)


def _answers(result: LearnResult) -> list[dict[str, Any]]:
    """Each question with both answers. The adapted one is None if no adapter was trained."""
    rows: list[dict[str, Any]] = []
    for index, task in enumerate(result.tasks):
        for number, probe in enumerate(task.probes):
            row: dict[str, Any] = {"question": probe.question, "gold": probe.answers[0], "adapted": None}
            for name, evaluations in (("base", result.before), ("adapted", result.after)):
                if evaluations:
                    answer = evaluations[index].answers[number]
                    row[name] = {"answer": answer.text, "correct": answer.verdict.correct}
            rows.append(row)
    return rows


def _marked(answer: dict[str, Any] | None) -> str:
    return "-" if answer is None else f"{output.mark(answer['correct'])} {answer['answer']}"
