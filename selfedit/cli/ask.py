"""`selfedit ask`: questions to a version or to the base model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from selfedit.cli import options, output
from selfedit.errors import UserError
from selfedit.progress import Progress, make_progress
from selfedit.session import Asked, Reply, Session

Base = Annotated[bool, typer.Option("--base", help="Ask the bare base model.")]
Version = Annotated[
    str | None,
    typer.Option("--version", metavar="ID", help="Ask this version, not the active one.", show_default=False),
]
Compare = Annotated[bool, typer.Option("--compare", help="Show both answers, base and version.")]
Topic = Annotated[
    str, typer.Option("--topic", help="What the questions are about: the title of a document or passage.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "ask",
        epilog=options.examples(
            'selfedit ask "Who founded the company?"',
            'selfedit ask "Who founded it?" "When?" --topic "Lumen Harbor" --compare',
            "selfedit ask --questions questions.jsonl --version v2",
        ),
    )(_ask)


def _ask(
    questions: Annotated[
        list[str] | None, typer.Argument(help="Questions, each in quotes.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--questions", metavar="FILE", help="JSONL or SQuAD file of questions, graded by their answers."),
    ] = None,
    base: Base = False,
    version: Version = None,
    compare: Compare = False,
    topic: Topic = "",
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Answer questions without any document in context, with the active version unless told otherwise.

    All are answered at once. The answer is the likeliest one. Where a version has an adapter a passage, a router picks
    the one that a question is about, or the base where nothing that was learnt fits.
    """
    check_who(base, compare, version)
    if bool(questions) == (file is not None):
        raise UserError("Give questions in quotes, or a file of them with --questions.")
    rows = _rows(questions or [], file, topic)
    progress = make_progress(quiet)
    session = Session(model, store, device, progress)
    if not base:
        rows = [(text, known_topic(session, version, about, progress), gold) for text, about, gold in rows]
    asked = [Asked(text, version, base, about) for text, about, _ in rows]
    bare = [Asked(text, None, True, about) for text, about, _ in rows] if compare else []
    replies = session.ask_all([*asked, *bare])
    answers, base_answers = replies[: len(rows)], [reply.answer for reply in replies[len(rows) :]]
    shown = [
        _shown(row, reply, base_answers[i] if compare else None)
        for i, (row, reply) in enumerate(zip(rows, answers, strict=True))
    ]
    if len(answers) == 1 and not json and (who := answered_by(answers[0])):
        progress.note(who)
    _print(shown, json, single=file is None and len(rows) == 1)


def answered_by(reply: Reply) -> str:
    """Whose answer it is, for people; empty where one model answers everything."""
    if reply.source is not None:
        return f"({reply.version}, by what it learnt from '{reply.source}')"
    if reply.version is not None and reply.probability < 1:
        return f"({reply.version} learnt nothing about this: the base answers)"
    return ""


def check_who(base: bool, compare: bool, version: str | None) -> None:
    """Raise UserError for options that exclude each other."""
    if base and (compare or version is not None):
        other = "--compare" if compare else "--version"
        raise UserError(f"--base and {other} exclude each other: leave one out.")


def known_topic(session: Session, version: str | None, topic: str, progress: Progress) -> str:
    """A topic as the version spells it; one that it does not know is said, and asked about all the same."""
    spelt, note = session.topic(topic, version) if topic else (topic, "")
    if note:
        progress.note(note)
    return spelt


Row = tuple[str, str, tuple[str, ...]]
"""A question, its topic, and its gold answers, if they are known."""


def _rows(questions: list[str], file: Path | None, topic: str) -> list[Row]:
    if file is None:
        return [(question, topic, ()) for question in questions]
    from selfedit.documents import read_questions

    return [(row.question, topic or row.title, row.answers) for row in read_questions(file)]


def _shown(row: Row, reply: Reply, base_answer: str | None) -> dict[str, Any]:
    """An answer with all that is known of it; graded by `match` where there is a gold answer."""
    from selfedit.graders import GRADERS
    from selfedit.types import Probe

    text, _, gold = row
    shown: dict[str, Any] = {
        "question": text,
        "answer": reply.answer,
        "version": reply.version,
        "source": reply.source,
        "probability": round(reply.probability, 4),
    }
    if base_answer is not None:
        shown["base_answer"] = base_answer
    if gold:
        grade, probe = GRADERS["match"]().grade, Probe("q", text, gold)
        shown |= {"gold": gold[0], "correct": grade(probe, reply.answer).correct}
        if base_answer is not None:
            shown["base_correct"] = grade(probe, base_answer).correct
    return shown


def _print(rows: list[dict[str, Any]], json: bool, single: bool) -> None:
    if single and json:
        output.print_json({key: value for key, value in rows[0].items() if key != "question"})
        return
    figures = {
        f"{name}accuracy": sum(row[f"{name}correct"] for row in rows) / len(rows)
        for name in ("", "base_")
        if all(f"{name}correct" in row for row in rows)
    }
    if json:
        output.print_json({"answers": rows} | figures)
    elif single and "base_answer" not in rows[0]:
        output.say(rows[0]["answer"])
    else:
        _print_table(rows, figures)


def _print_table(rows: list[dict[str, Any]], figures: dict[str, float]) -> None:
    version = str(rows[0]["version"] or "base")
    keys = [("question", "question"), ("gold", "answer"), ("base_answer", "base"), ("answer", version)]
    keys = [(key, title) for key, title in keys if key in rows[0] and (len(rows) > 1 or key != "question")]
    marks = {"answer": "correct", "base_answer": "base_correct"}

    def cell(row: dict[str, Any], key: str) -> str:
        mark = row.get(marks.get(key, ""))
        return row[key] if mark is None else f"{output.mark(mark)} {row[key]}"

    table = [tuple(cell(row, key) for key, _ in keys) for row in rows]
    totals = {"question": f"{len(rows)} questions", "gold": ""}
    totals |= {key: output.percent(figures.get(f"{'base_' * (key == 'base_answer')}accuracy")) for key in marks}
    if figures:
        table.append(tuple(totals[key] for key, _ in keys))
    output.table([title for _, title in keys], table, totals=bool(figures))
