"""Reads answers to grade from a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfedit.text.reading import read_json_lines
from selfedit.types import Probe


@dataclass(frozen=True)
class Row:
    """An answer to grade, the verdict it came with if any, and all the line's fields as they were."""

    probe: Probe
    prediction: str
    correct: bool | None
    fields: dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a JSONL file, at least one.

    A line is {"question": str, "answer": str or [str, ...], "prediction": str}, optionally with "correct": bool;
    "answers" stands for "answer" too. Blank lines are skipped. Raises UserError naming the line and the field.
    """
    return read_json_lines(path, _row, '{"question": "...", "answer": "...", "prediction": "..."}')


def _row(fields: Any, number: int) -> Row:
    if not isinstance(fields, dict):
        raise ValueError("not an object")
    question, prediction = (_text(fields, name) for name in ("question", "prediction"))
    if not question.strip():
        raise ValueError("'question' is empty")
    correct = fields.get("correct")
    if correct is not None and not isinstance(correct, bool):
        raise ValueError(f"'correct' must be true or false, not {json.dumps(correct)}")
    return Row(Probe(f"line {number}", question, _answers(fields)), prediction, correct, fields)


def _text(fields: dict[str, Any], name: str) -> str:
    if name not in fields:
        raise ValueError(f"'{name}' is missing")
    value = fields[name]
    if not isinstance(value, str):
        raise ValueError(f"'{name}' must be text, not {json.dumps(value)}")
    return value


def _answers(fields: dict[str, Any]) -> tuple[str, ...]:
    name = "answer" if "answer" in fields else "answers"
    if name not in fields:
        raise ValueError("'answer' is missing")
    value = [fields[name]] if isinstance(fields[name], str) else fields[name]
    if not isinstance(value, list) or not all(isinstance(answer, str) for answer in value):
        raise ValueError(f"'{name}' must be text or a list of texts, not {json.dumps(fields[name])}")
    answers = tuple(answer for answer in value if answer.strip())
    if not answers:
        raise ValueError(f"'{name}' is empty")
    return answers
