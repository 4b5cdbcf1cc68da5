"""`selfedit grade`: a file of answers, graded, and held against verdicts that it carries."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import Annotated, Any

import typer

from selfedit.cli import options, output
from selfedit.errors import UserError, nearest
from selfedit.files.disk import write_whole, writing
from selfedit.graders.agreement import compare
from selfedit.graders.rows import Row, read_rows
from selfedit.types import Verdict

_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "grade",
        epilog=options.examples(
            "selfedit grade answers.jsonl",
            "selfedit grade answers.jsonl --grader learned --json",
            "selfedit grade answers.jsonl --grader judge --out verdicts.jsonl",
        ),
    )(_grade)


def _grade(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.jsonl", help="Rows of 'question', 'answer' and 'prediction'.", show_default=False),
    ],
    grader: Annotated[str, typer.Option("--grader", metavar="NAME", help="match, exact, learned or judge.")] = "match",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the rows with their verdicts here, as JSONL.")
    ] = None,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Grade answers in a file; where rows carry 'correct', say how far the grader agrees.

    agreement is the share of equal verdicts, kappa is Cohen's, and bias is the share that the grader calls right less
    the share that 'correct' does: -0.08 is 8 points too strict. All three are over the rows that carry 'correct'.
    """
    from selfedit.graders import GRADERS

    if grader not in GRADERS:
        raise UserError(f"Unknown grader '{grader}'. {nearest(grader, GRADERS)}")
    rows = read_rows(file)
    verdicts = GRADERS[grader]().grade_all([(row.probe, row.prediction) for row in rows])
    if out is not None:
        _write(out, rows, verdicts)
    summary = _summary(grader, rows, verdicts)
    if json:
        told = [{"correct": verdict.correct, "reason": verdict.reason} for verdict in verdicts]
        output.print_json({**summary, "verdicts": told})
    else:
        _print(summary, rows, verdicts)


def _summary(grader: str, rows: list[Row], verdicts: list[Verdict]) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "grader": grader,
        "rows": len(rows),
        "accuracy": sum(verdict.correct for verdict in verdicts) / len(rows),
    }
    pairs = [(v.correct, row.correct) for row, v in zip(rows, verdicts, strict=True) if row.correct is not None]
    if pairs:
        held = compare([graded for graded, _ in pairs], [given for _, given in pairs])
        summary |= {
            "compared": held.rows,
            "agreement": held.agreement,
            "kappa": held.kappa,
            "bias": held.bias,
            "confusion": held.confusion,
        }
    return summary


def _print(summary: dict[str, Any], rows: list[Row], verdicts: list[Verdict]) -> None:
    lines = [("grader", summary["grader"]), ("rows", str(summary["rows"]))]
    lines.append(("right", output.percent(summary["accuracy"])))
    if "kappa" in summary:
        if summary["compared"] < summary["rows"]:
            lines.append(("rows with 'correct'", str(summary["compared"])))
        lines += [
            ("agreement", output.percent(summary["agreement"])),
            ("kappa", f"{summary['kappa']:.3f}"),
            ("bias", f"{100 * summary['bias']:+.1f} points"),
            *((name.replace("_", " "), str(count)) for name, count in summary["confusion"].items()),
        ]
    output.table(("", ""), lines)
    output.say()
    shown = [
        (output.mark(verdict.correct), row.probe.question, row.probe.answers[0], _line(row.prediction), verdict.reason)
        for row, verdict in zip(rows, verdicts, strict=True)
    ]
    output.table(("", "question", "answer", "prediction", "reason"), shown[:_SHOWN])
    if len(shown) > _SHOWN:
        output.say(f"... and {len(shown) - _SHOWN} more; --out FILE writes them all.")


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}..."


def _write(path: Path, rows: list[Row], verdicts: list[Verdict]) -> None:
    made = (
        row.fields | {"graded": verdict.correct, "reason": verdict.reason}
        for row, verdict in zip(rows, verdicts, strict=True)
    )
    with writing(path, "name another file with --out"):
        write_whole(path, "".join(json_.dumps(row, ensure_ascii=False) + "\n" for row in made).encode())
