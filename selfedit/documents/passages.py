"""Passages with questions as tasks: SQuAD's JSON, or JSONL rows of `context`, `questions` and perhaps `title`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfedit.documents.squad import Row, parse_question, read_rows, text_field
from selfedit.errors import NotADocumentError, UserError
from selfedit.text.reading import read_json_lines
from selfedit.types import Probe, Task


def read_passages(path: Path, letter: str, questions: int | None = None) -> list[Task]:
    """A task for each passage that has a question, its id the letter and the passage's place in the file.

    Args:
        questions: at most so many of each passage.

    Raises:
        UserError: the file is malformed; says where.
    """
    try:
        rows = _jsonl(path) if path.suffix == ".jsonl" else read_rows(path)
    except NotADocumentError as error:
        raise UserError(str(error)) from error
    tasks = []
    for index, row in enumerate(rows):
        probes = tuple(
            Probe(f"{letter}{index}.q{number}", question.question, question.answers)
            for number, question in enumerate(row.questions[:questions])
        )
        if probes:
            tasks.append(Task(f"{letter}{index}", row.title, row.context, probes))
    return tasks


def _jsonl(path: Path) -> list[Row]:
    return read_json_lines(path, _row, '{"context": "...", "questions": [{"question": "...", "answer": "..."}]}')


def _row(fields: Any, _: int) -> Row:
    if not isinstance(fields, dict):
        raise ValueError("is not an object")
    title = text_field(fields, "title") if fields.get("title") else ""
    context = text_field(fields, "context")
    listed = fields.get("questions", [])
    if not isinstance(listed, list):
        raise ValueError("'questions' is not a list")
    questions = [parse_question(item, title, context) for item in listed]
    return Row(title, context, tuple(question for question in questions if question is not None))
