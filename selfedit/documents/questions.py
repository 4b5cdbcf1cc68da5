"""Reads questions and gives each to the passage it is about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from selfedit.documents.assign import PassageIndex
from selfedit.documents.base import Document, Passage, Question
from selfedit.documents.squad import parse_question, read_rows, text_field
from selfedit.errors import NotADocumentError, UserError, nearest
from selfedit.text.reading import read_json_lines, shown


def read_questions(path: Path) -> list[Question]:
    """Return the questions of a `.jsonl` file, or of a `.json` file in SQuAD form, at least one.

    A line is {"question": str, "answer": str or "answers": [str, ...]}, optionally with "title" or "document", and
    "context"; blank lines are skipped. Raises UserError naming the file and the line or row that is wrong.
    """
    suffix = path.suffix.lower()
    if suffix not in (".jsonl", ".json"):
        raise UserError(
            f"Cannot read questions from {shown(path)}: give a .jsonl file with a question a line, or .json as SQuAD."
        )
    if suffix == ".json":
        questions = [question for row in read_rows(path) for question in row.questions]
    else:
        questions = _read_lines(path)
    if not questions:
        raise NotADocumentError(f"{shown(path)} holds no answerable question: add some.")
    return questions


def _read_lines(path: Path) -> list[Question]:
    questions = read_json_lines(path, _parse_line, '{"question": "...", "answer": "..."}')
    return [question for question in questions if question is not None]


def _parse_line(fields: Any, _: int) -> Question | None:
    question = parse_question(fields)
    if question is None:
        return None
    hints = {key: text_field(fields, key) for key in ("title", "document", "context") if fields.get(key)}
    return replace(question, title=hints.get("title") or hints.get("document", ""), context=hints.get("context", ""))


def assign(questions: Sequence[Question], passages: Sequence[Passage]) -> list[Passage]:
    """Return the passages, in their order, with each question added to the probes of the one it fits best.

    A question with a title goes to a passage of that title, document title or file name (case does not count). Of a
    passage's equal questions with equal answers, one is kept. Raises UserError for a title that nothing bears.
    There must be at least one passage.
    """
    index = PassageIndex(passages)
    by_name: dict[str, list[int]] = defaultdict(list)
    for i, passage in enumerate(passages):
        for name in _names(passage):
            by_name[name].append(i)
    probes = [{(probe.question, probe.answers): probe for probe in passage.probes} for passage in passages]
    for question in questions:
        among: Sequence[int] = range(len(passages))
        if question.title:
            among = by_name.get(_key(question.title), ())
            if not among:
                raise UserError(_unknown_title(question, passages))
        probes[index.best(question, among)].setdefault((question.question, question.answers), question)
    return [replace(passage, probes=tuple(kept.values())) for passage, kept in zip(passages, probes, strict=True)]


def check_titles(questions: Sequence[Question], documents: Sequence[Document]) -> None:
    """Raise UserError for a title that no passage of the documents can bear, however they are split."""
    wholes = [Passage(document.title, "", document.path) for document in documents]
    known = {name for whole in wholes for name in _names(whole)}
    beginnings = tuple(f"{_key(document.title)} - " for document in documents)
    for question in questions:
        key = _key(question.title)
        if key and key not in known and not key.startswith(beginnings):
            raise UserError(_unknown_title(question, wholes))


def _key(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _names(passage: Passage) -> set[str]:
    """Return what a question may call the passage: its titles, and its path's ends, with and without the suffix."""
    titles = passage.title.split(" - ")
    parts = Path(passage.document).parts
    names = [" - ".join(titles[: n + 1]) for n in range(len(titles))]
    names += ["/".join(parts[n:]) for n in range(len(parts))]
    return {_key(name) for name in [*names, passage.document, Path(passage.document).stem]}


def _unknown_title(question: Question, passages: Sequence[Passage]) -> str:
    known = {passage.title for passage in passages} | {Path(passage.document).name for passage in passages}
    return (
        f"No document is called '{shown(question.title, 80)}', as the question '{shown(question.question, 80)}' says. "
        f"{shown(nearest(question.title, known))}"
    )
