"""Reading questions, and giving them to passages."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from selfedit.documents import Passage, Question, assign, read_documents, read_questions, split
from selfedit.errors import UserError
from selfedit.text.matching import answer_in_passage

VAL = Path(__file__).parents[3] / "shared" / "data" / "squad" / "val.json"


def put(tmp_path: Path, text: str, name: str = "questions.jsonl") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def message(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_questions(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_lines(tmp_path: Path) -> None:
    rows = [
        {"question": " Who? ", "answer": "A"},
        {"question": "What?", "answers": ["a", "b", "a"], "document": "cells.md"},
        {"question": "Why\u2028so?", "answer": "x", "answers": ["y"], "title": "T", "document": "d", "context": "c"},
        {"question": "Never?", "answers": [], "is_impossible": True},
    ]
    text = "\ufeff" + "\r\n\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"
    assert read_questions(put(tmp_path, text)) == [
        Question("Who?", ("A",)),
        Question("What?", ("a", "b"), "cells.md"),
        Question("Why\u2028so?", ("x", "y"), "T", "c"),
    ]


def test_squad_form(tmp_path: Path) -> None:
    row = {"title": "T", "context": "c", "questions": [{"question": "q", "answer": "a"}]}
    assert read_questions(put(tmp_path, json.dumps([row]), "q.json")) == [Question("q", ("a",), "T", "c")]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('{"question": }', "line 2: not JSON (Expecting value at column 14)"),
        ("[" * 100_000, "line 2: nested too deeply"),
        ('["q", "a"]', "line 2: is not an object"),
        ('{"answer": "a"}', "line 2: 'question' is missing"),
        ('{"question": " ", "answer": "a"}', "line 2: 'question' is empty"),
        ('{"question": "q"}', "line 2: 'answer' is missing"),
        ('{"question": "q", "answer": ""}', "line 2: 'answer' is empty"),
        ('{"question": "q", "answer": 1889}', "line 2: 'answer' is not a string"),
        ('{"question": "q", "answers": "a"}', "line 2: 'answers' is not a list"),
        ('{"question": "q", "answers": [1]}', "line 2: an answer is not a string"),
        ('{"question": "q", "answer": "a", "title": 3}', "line 2: 'title' is not a string"),
        (r'{"question": "\ud800", "answer": "a"}', "line 2: 'question' holds half of a surrogate pair"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: str, wrong: str) -> None:
    path = put(tmp_path, '{"question": "q", "answer": "a"}\n' + line + "\n")
    assert f"{path}, {wrong}" in message(path)


def test_bad_files(tmp_path: Path) -> None:
    assert "give a .jsonl file" in message(put(tmp_path, "x", "q.csv"))
    assert "is empty" in message(put(tmp_path, ""))
    assert "There is no file" in message(tmp_path / "missing.jsonl")
    assert "no answerable question" in message(put(tmp_path, '{"question": "q", "is_impossible": true}'))
    assert "not in SQuAD form" in message(put(tmp_path, '{"question": "q", "answer": "a"}', "q.json"))


PASSAGES = [
    Passage("Cells", "The nucleus holds DNA. A cell divides by mitosis in 24 hours.", "bio/cells.md"),
    Passage("Cells - Energy", "Mitochondria make ATP, the energy of a cell, within 24 hours.", "bio/cells.md"),
    Passage("Rome", "Rome was founded in 753 BC. Augustus ruled from 27 BC.", "history/old_rome.txt"),
]


@pytest.mark.parametrize(
    ("question", "index"),
    [
        (Question("What holds DNA?", ("nucleus",)), 0),
        (Question("How long does mitosis take?", ("24 hours",)), 0),
        (Question("How long does it take to make ATP?", ("24 hours",)), 1),
        (Question("Who ruled Rome?", ("augustus",)), 2),
        (Question("Who founded Rome?", ("Romulus",)), 2),  # no passage has the answer
        (Question("Who?", ("Nobody",)), 0),  # nothing to go by: the first
        (Question("What makes ATP in Rome?", ("Nobody",), title="CELLS.md"), 1),
        (Question("Who?", ("Nobody",), title="old rome"), 2),
        (Question("Who?", ("Nobody",), title="History/old_rome.txt"), 2),
        (Question("Who?", ("Nobody",), title="cells - energy"), 1),
        (Question("How long?", ("24 hours",), context="Mitochondria make ATP"), 1),
    ],
)
def test_assign(question: Question, index: int) -> None:
    given = assign([question], PASSAGES)
    assert [passage.probes for passage in given] == [(question,) if i == index else () for i in range(3)]
    assert [replace(passage, probes=()) for passage in given] == PASSAGES


def test_an_answer_goes_before_overlap() -> None:
    question = Question("Of which energy did mitochondria in Rome speak before ATP?", ("Augustus",))
    assert assign([question], PASSAGES)[2].probes == (question,)


def test_unknown_title() -> None:
    with pytest.raises(UserError, match=r"called 'Cels\\n', as .* Did you mean 'Cells'\?"):
        assign([Question("Q?", ("a",), title="Cels\n")], PASSAGES)


def test_duplicates_count_once() -> None:
    question = Question("What holds DNA?", ("nucleus",))
    passages = [replace(PASSAGES[0], probes=(question,)), *PASSAGES[1:]]
    other = replace(question, answers=("the nucleus",))
    titled = replace(question, title="Cells")
    elsewhere = replace(question, title="Rome")  # of another document, so another question
    given = assign([question, titled, other, other, elsewhere], passages)
    assert given[0].probes == (question, other)
    assert given[2].probes == (elsewhere,)


def test_no_questions_and_no_passages() -> None:
    assert assign([], PASSAGES) == PASSAGES
    assert assign([], []) == []


@pytest.mark.parametrize("seed", range(10))
def test_every_question_is_given_once(seed: int) -> None:
    rng = random.Random(seed)

    def some(n: int) -> str:
        return " ".join(rng.choices(["cat", "dog", "the", "Rome", "ATP", "1,000", "x-ray"], k=n))

    passages = [Passage(f"P{i}", some(20), f"{i}.txt") for i in range(8)]
    questions = [Question(f"{some(5)} {i}?", (some(2),), rng.choice(["", "P3", "5.txt"])) for i in range(50)]
    given = assign(questions, passages)
    assert sorted(probe.question for passage in given for probe in passage.probes) == sorted(
        question.question for question in questions
    )
    for passage in given:
        assert all(probe.title in ("", passage.title, passage.document) for probe in passage.probes)
    assert assign(questions, passages) == given


@pytest.mark.skipif(not VAL.exists(), reason=f"{VAL} is not on this machine")
def test_real_questions_find_their_passages() -> None:
    documents = read_documents([VAL])[:300]
    expected = [passage for source in documents for passage in split(source, len, 10_000).passages]
    bare = [replace(passage, probes=()) for passage in expected]
    questions = [probe for passage in expected for probe in passage.probes]
    assert [set(passage.probes) for passage in assign(questions, bare)] == [set(p.probes) for p in expected]
    untitled = [replace(question, title="", context="") for question in questions]
    given = assign(untitled, bare)
    pairs = {(i, probe.question, probe.answers) for i, passage in enumerate(given) for probe in passage.probes}
    wanted = {(i, probe.question, probe.answers) for i, passage in enumerate(expected) for probe in passage.probes}
    assert len(pairs & wanted) / len(wanted) > 0.9  # though some fifty passages here are on one Super Bowl


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("Denver Broncos", "the DENVER  broncos won"),
        ("1,000", "about 1000 people"),
        ("1000000", "about 1,000,000 people"),
        ("the king of hill", "A king of the hill."),
        ("U.S.", "in the US today"),
        ("8:10 p.m", "at 8:10 p.m. sharp"),
        ('"golden anniversary"', "the golden\nanniversary"),
        ("24-10", "won 24\u201310 there"),
        ("Newton", "Newton's law"),
        ("vitamin A", "vitamin A helps"),
        ("北京", "中国的首都是北京。"),
        ("ﬁve", "five"),
        ("C++", "in C++ code"),
        ("+", "a + b"),
        ("3.5", "it is 3.5."),
    ],
)
def test_answer_in_passage(answer: str, text: str) -> None:
    assert answer_in_passage(answer, text)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("art", "a party"),
        ("5", "2,005 or 3.5"),
        ("vitamin A", "vitamin C helps"),
        ("", "anything"),
        (" ", "any thing"),
        ("+", "a - b"),
        ("Broncos Denver", "Denver Broncos"),
        ("x", ""),
    ],
)
def test_answer_not_in_passage(answer: str, text: str) -> None:
    assert not answer_in_passage(answer, text)
