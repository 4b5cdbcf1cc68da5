"""The passages of a run, read and checked before a model is loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfedit.documents.base import NotADocumentError
from selfedit.documents.squad import Row, parse_question, read_rows, text_field
from selfedit.documents.text import decode, read_bytes, sha256
from selfedit.errors import UserError
from selfedit.outer.config import TrainConfig
from selfedit.types import Probe, Task

_HOW_TO_GET = (
    "Passages with questions are needed: SQuAD v1.1 as JSON (the dataset 'rajpurkar/squad' on the Hugging Face hub, or "
    'train-v1.1.json), or a JSONL file of your own with {"context", "questions": [{"question", "answer"}]} a line. '
    "Name it with --set data.{key}=FILE."
)


@dataclass(frozen=True)
class RunData:
    """The tasks of each round, those of validation, and the hash of every file they came from."""

    rounds: tuple[tuple[Task, ...], ...]
    validation: tuple[Task, ...]
    hashes: dict[str, str]


def read_data(config: TrainConfig) -> RunData:
    """Read what the configuration names.

    Raises:
        UserError: a file is missing or malformed, or has fewer passages than are asked for.
    """
    data = config.data
    hashes: dict[str, str] = {}
    training = _tasks(data.train, "train", "t", data.questions, hashes)
    starts = data.starts or tuple(index * data.contexts for index in range(config.outer.rounds))
    rounds = []
    for number, start in enumerate(starts[: config.outer.rounds], 1):
        if start + data.contexts > len(training):
            raise UserError(
                f"Round {number} needs passages {start} to {start + data.contexts - 1}, and {data.train} has "
                f"{len(training)}. Lower data.contexts or outer.rounds, or set data.starts."
            )
        rounds.append(tuple(training[start : start + data.contexts]))
    validation: Sequence[Task] = ()
    if data.validation is not None:
        validation = _tasks(data.validation, "validation", "v", data.questions, hashes)
        if data.validation_index is not None:
            validation = _chosen(validation, data.validation_index, hashes)
        if data.validation_contexts > len(validation):
            raise UserError(
                f"data.validation_contexts is {data.validation_contexts}, and {data.validation} gives "
                f"{len(validation)} passages."
            )
        validation = validation[: data.validation_contexts]
    return RunData(tuple(rounds), tuple(validation), hashes)


def _tasks(path: Path, key: str, letter: str, questions: int | None, hashes: dict[str, str]) -> list[Task]:
    if not path.exists():
        raise UserError(f"{path} (data.{key}) is not there. {_HOW_TO_GET.replace('{key}', key)}")
    hashes[key] = sha256(read_bytes(path))
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
    if not tasks:
        raise UserError(f"{path} (data.{key}) has no passage with a question.")
    return tasks


def _jsonl(path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(decode(read_bytes(path), path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            fields: Any = json.loads(line)
            if not isinstance(fields, dict):
                raise ValueError("is not an object")
            title = text_field(fields, "title") if fields.get("title") else ""
            context = text_field(fields, "context")
            listed = fields.get("questions", [])
            if not isinstance(listed, list):
                raise ValueError("'questions' is not a list")
            found = [parse_question(item, title, context) for item in listed]
        except ValueError as error:  # JSONDecodeError is one
            raise UserError(f"{path}, line {number}: {error}.") from None
        rows.append(Row(title, context, tuple(question for question in found if question is not None)))
    return rows


def _chosen(tasks: Sequence[Task], path: Path, hashes: dict[str, str]) -> list[Task]:
    """The tasks that an index names, by the place of their passage in the file."""
    if not path.exists():
        raise UserError(f"{path} (data.validation_index) is not there.")
    hashes["validation_index"] = sha256(read_bytes(path))
    try:
        index = json.loads(decode(read_bytes(path), path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON ({error.msg}).") from None
    index = index.get("indices", index) if isinstance(index, dict) else index
    by_place = {int(task.id[1:]): task for task in tasks}
    if not isinstance(index, list) or not all(isinstance(i, int) and i in by_place for i in index):
        raise UserError(f"{path} (data.validation_index) must be a JSON list of places of passages with questions.")
    return [by_place[i] for i in index]
