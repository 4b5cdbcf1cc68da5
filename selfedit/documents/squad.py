"""SQuAD: contexts with questions. Reads our flat rows and the official nested layout of v1.1 and v2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from selfedit.documents.base import Document, DocumentReader, Question, Section
from selfedit.errors import NotADocumentError, UserError
from selfedit.text.reading import decode, humanised, parse_json, read_bytes, sha256, shown

FORM = 'a list of {"title", "context", "questions": [{"question", "answer"}]}, or the official {"data": [...]}'


@dataclass(frozen=True)
class Row:
    """One context with its answerable questions. `title` is '' where the file gives none."""

    title: str
    context: str
    questions: tuple[Question, ...]


class SquadReader(DocumentReader):
    """One document per context, with its questions as probes; unanswerable questions are skipped.

    Raises UserError naming the row that is malformed, and NotADocumentError for JSON that is not in the form at all.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".json",)

    def read(self, path: Path) -> list[Document]:
        """See DocumentReader."""
        return [
            Document(
                path=str(path),
                title=row.title or humanised(path),
                sections=(Section("", row.context),),
                sha256=sha256(row.context.encode()),
                probes=row.questions,
            )
            for row in read_rows(path)
        ]


def read_rows(path: Path) -> list[Row]:
    """Return the contexts of a SQuAD file in its order, at least one. Raises as SquadReader does."""
    try:
        root = parse_json(decode(read_bytes(path), path))
    except ValueError as error:
        raise NotADocumentError(f"{shown(path)} is not JSON ({shown(error, 120)}): repair it.") from error
    contexts = root.get("data") if isinstance(root, dict) else root
    if not isinstance(contexts, list) or not contexts or not any(_in_form(item) for item in contexts):
        raise NotADocumentError(f"{shown(path)} is not in SQuAD form: give {FORM}.")
    return [
        _parse(title, fields, key, f"{shown(path)}, {where}") for title, fields, key, where in _contexts(contexts, path)
    ]


def parse_question(fields: Any, title: str = "", context: str = "") -> Question | None:
    """Return the question in one JSON object, or None where it is marked as impossible.

    The answers are those in `answer` (a string), then in `answers` (strings, or objects with a `text`), each once.
    Raises ValueError that says what is wrong.
    """
    if not isinstance(fields, dict):
        raise ValueError('is not an object like {"question": ..., "answer": ...}')
    if fields.get("is_impossible") is True:
        return None
    question = text_field(fields, "question")
    answers = [text_field(fields, "answer")] if "answer" in fields else []
    listed = fields.get("answers", [])
    if not isinstance(listed, list):
        raise ValueError("'answers' is not a list")
    for item in listed:
        answers.append(text_field(item if isinstance(item, dict) else {"text": item}, "text", "an answer"))
    if not answers:
        raise ValueError("'answer' is missing")
    return Question(question, tuple(dict.fromkeys(answers)), title, context)


def text_field(fields: dict[str, Any], key: str, called: str = "") -> str:
    """Return the stripped text in `fields[key]`. Raises ValueError if it is missing, no string, or empty."""
    called = called or f"'{key}'"
    if key not in fields:
        raise ValueError(f"{called} is missing")
    value = fields[key]
    if not isinstance(value, str):
        raise ValueError(f"{called} is not a string")
    if not value.strip():
        raise ValueError(f"{called} is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{called} holds half of a surrogate pair, which is no text") from error
    return value.strip()


def _in_form(item: Any) -> bool:
    return isinstance(item, dict) and ("context" in item or "paragraphs" in item)


def _contexts(items: list[Any], path: Path) -> Iterator[tuple[Any, Any, str, str]]:
    """Yield each context's title, its fields, the key of its questions, and where it is."""
    for i, item in enumerate(items, start=1):
        if not _in_form(item):
            raise UserError(f"{shown(path)}, row {i} has no context: give {FORM}.")
        title = item.get("title") or ""
        if "context" in item:
            yield title, item, "questions", f"row {i}"
            continue
        if not isinstance(item["paragraphs"], list):
            raise UserError(f"{shown(path)}, row {i}: 'paragraphs' is not a list: give {FORM}.")
        if isinstance(title, str):
            title = title.replace("_", " ")
        for j, paragraph in enumerate(item["paragraphs"], start=1):
            yield title, paragraph, "qas", f"row {i}, paragraph {j}"


def _parse(title: Any, fields: Any, key: str, where: str) -> Row:
    """Raises UserError that says `where` it is malformed."""
    try:
        if not isinstance(fields, dict):
            raise ValueError("is not an object")
        title = text_field({"title": title}, "title") if title != "" else ""
        context = text_field(fields, "context")
        listed = fields.get(key, [])
        if not isinstance(listed, list):
            raise ValueError(f"'{key}' is not a list")
    except ValueError as error:
        raise UserError(f"{where}: {error}. Give {FORM}.") from error
    questions = []
    for k, item in enumerate(listed, start=1):
        try:
            questions.append(parse_question(item, title, context))
        except ValueError as error:
            raise UserError(f"{where}, question {k}: {error}. Mend or remove it.") from error
    return Row(title, context, tuple(question for question in questions if question is not None))
