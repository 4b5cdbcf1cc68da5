"""SQuAD, in our flat rows and the official layout."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from selfedit.documents import NotADocumentError, Question, read_documents
from selfedit.errors import UserError
from selfedit.text.matching import answer_in_passage

VAL = Path(__file__).parents[3] / "shared" / "data" / "squad" / "val.json"
FLAT = {"title": "Cells", "context": " Cells are small. ", "questions": [{"question": "How?", "answer": "small"}]}
V2: dict[str, Any] = {
    "version": "v2.0",
    "data": [
        {
            "title": "Super_Bowl_50",
            "paragraphs": [
                {
                    "context": "Denver won.",
                    "qas": [
                        {
                            "id": "1",
                            "question": "Who won?",
                            "answers": [{"text": "Denver", "answer_start": 0}, {"text": "Denver", "answer_start": 0}],
                            "is_impossible": False,
                        },
                        {"id": "2", "question": "Why?", "answers": [], "is_impossible": True},
                    ],
                },
                {"context": "Carolina lost.", "qas": []},
            ],
        }
    ],
}


def put(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "some_set.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def message(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_documents([path])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_flat(tmp_path: Path) -> None:
    untitled = {"context": "Text.", "questions": [{"question": "Q?", "answers": ["a", "b", "a"]}]}
    first, second = read_documents([put(tmp_path, [FLAT, untitled])])
    assert first.title == "Cells"
    assert [(section.heading, section.text) for section in first.sections] == [("", "Cells are small.")]
    assert first.probes == (Question("How?", ("small",), "Cells", "Cells are small."),)
    assert first.sha256 == hashlib.sha256(b"Cells are small.").hexdigest() != second.sha256
    assert second.title == "Some set"
    assert second.probes[0].answers == ("a", "b")


def test_official(tmp_path: Path) -> None:
    first, second = read_documents([put(tmp_path, V2)])
    assert first.title == second.title == "Super Bowl 50"
    assert first.probes == (Question("Who won?", ("Denver",), "Super Bowl 50", "Denver won."),)
    assert second.probes == ()


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ("x", "row 2 has no context"),
        ({"title": "t"}, "row 2 has no context"),
        ({"context": ""}, "row 2: 'context' is empty"),
        ({"context": 3}, "row 2: 'context' is not a string"),
        ({"context": "c", "title": 3}, "row 2: 'title' is not a string"),
        ({"context": "\ud800"}, "row 2: 'context' holds half of a surrogate pair"),
        ({"context": "c", "questions": {}}, "row 2: 'questions' is not a list"),
        ({"context": "c", "questions": ["q"]}, "row 2, question 1: is not an object"),
        ({"context": "c", "questions": [{"answer": "a"}]}, "row 2, question 1: 'question' is missing"),
        ({"context": "c", "questions": [{"question": "q"}]}, "row 2, question 1: 'answer' is missing"),
        ({"context": "c", "questions": [{"question": "q", "answers": "a"}]}, "'answers' is not a list"),
        ({"context": "c", "questions": [{"question": "q", "answers": [" "]}]}, "an answer is empty"),
        ({"paragraphs": {}}, "row 2: 'paragraphs' is not a list"),
        ({"paragraphs": [{"context": "c", "qas": []}, {}]}, "row 2, paragraph 2: 'context' is missing"),
        ({"paragraphs": ["c"]}, "row 2, paragraph 1: is not an object"),
    ],
)
def test_malformed_rows_are_named(tmp_path: Path, row: Any, wrong: str) -> None:
    path = put(tmp_path, [FLAT, row])
    assert wrong in message(path)
    assert wrong in message(tmp_path)  # in a folder too: most of the file is SQuAD


@pytest.mark.parametrize("content", ["{", "[]", "3", '{"data": []}', '{"a": 1}', '[{"question": "q"}]', "[" * 100_000])
def test_other_json(tmp_path: Path, content: str) -> None:
    path = put(tmp_path, content)
    with pytest.raises(NotADocumentError, match=r"is not JSON|is not in SQuAD form"):
        read_documents([path])
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    assert [document.title for document in read_documents([tmp_path])] == ["A"]


@pytest.mark.skipif(not VAL.exists(), reason=f"{VAL} is not on this machine")
def test_the_real_file() -> None:
    documents = read_documents([VAL])
    assert len(documents) == 2067
    assert sum(len(document.probes) for document in documents) == 10_570
    assert documents[0].title == "Super Bowl 50"
    assert documents[0].probes[0].answers == ("Denver Broncos",)
    checked = documents[::20]
    probes = [(probe.answers[0], document.sections[0].text) for document in checked for probe in document.probes]
    found = sum(answer_in_passage(answer, text) for answer, text in probes)
    assert found / len(probes) > 0.99  # a few of SQuAD's spans begin inside a word
