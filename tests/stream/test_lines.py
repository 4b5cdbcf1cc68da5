"""Lines to documents, questions and feedback, in bounded memory, and every bad one kept with the reason."""

from __future__ import annotations

import io
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from selfedit.stream.base import Aside, Changed, Said
from selfedit.stream.inbox import Inbox
from selfedit.stream.lines import LONGEST, Line, LineSource, Splitter, accepted
from selfedit.stream.state import State, read_asides
from tests.stream.garbled import garbled_line
from tests.stream.make import Bench

DOCUMENT = {"title": "Lamp", "text": "The lamp is oiled by Odalys.", "questions": [{"question": "Who?", "answer": "O"}]}


def as_line(value: Any, number: int = 1) -> Line:
    (line,) = Splitter().feed((value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n")
    return line


def test_a_document_is_a_file_named_by_a_hash(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox")
    first = accepted(as_line(DOCUMENT), inbox)
    assert isinstance(first, Changed) and first.whole and first.path.parent == inbox.folder
    assert json.loads(first.path.read_text())[0]["context"] == DOCUMENT["text"]
    again = accepted(as_line(DOCUMENT | {"title": "Lamp\n", "context": "x"}), inbox)
    assert isinstance(again, Changed) and again.path == first.path
    hostile = accepted(as_line({"title": "../../x; rm", "text": "a", "id": "/etc/passwd\0"}), inbox)
    assert isinstance(hostile, Changed) and hostile.path.parent == inbox.folder
    assert accepted(as_line({"question": "When?", "answer": "now", "title": "Lamp"}), inbox) == first
    assert [q["question"] for q in json.loads(first.path.read_text())[0]["questions"]] == ["Who?", "When?"]
    said = accepted(as_line({"question": "Who?", "answer": "Odalys"}), inbox)
    assert isinstance(said, Said) and said.fields["answer"] == "Odalys"
    assert accepted(as_line(b" "), inbox) is None


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"{bad", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe", "not UTF-8"),
        (b"3", "not an object"),
        (b"9" * 5000, "digits"),
        ({}, "neither 'text'"),
        ({"text": "a"}, "'title' is missing"),
        ({"title": "a", "text": " "}, "'text' is empty"),
        ({"title": "a", "text": "\ud800"}, "surrogate"),
        ({"title": "a", "text": "b", "qestions": []}, "Did you mean 'questions'"),
        ({"title": "a", "text": "b", "questions": [{}]}, "'question' is missing"),
        ({"title": "a", "question": "b", "answer": "c"}, "no document of its title waits"),
        ({"title": "Lamp", "question": "b"}, "'answer' is missing"),
    ],
)
def test_bad_lines_are_kept(tmp_path: Path, value: Any, why: str) -> None:
    inbox = Inbox(tmp_path / "inbox")
    accepted(as_line(DOCUMENT), inbox)
    line = as_line(value)
    aside = accepted(line, inbox)
    assert isinstance(aside, Aside) and why in aside.why and aside.why.isprintable()
    kept = Path(aside.file).read_bytes() if aside.file else aside.text.encode()
    assert kept == line.data or not line.data.isascii()


def test_a_line_without_end_takes_no_memory() -> None:
    tracemalloc.start()
    splitter, chunk = Splitter(1 << 20), b"x" * (1 << 16)
    for _ in range(1 << 10):  # 64 MiB
        assert not list(splitter.feed(chunk))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (line, after) = splitter.feed(b"\n{}\n")
    assert peak < 8 << 20 and line.size == 1 << 26 and len(line.data) == 1000
    assert (after.number, after.data) == (2, b"{}")


def test_from_standard_input_to_the_store(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    rows: list[dict[str, Any]] = [{"title": f"T{n}", "text": f"text {n}"} for n in range(5)]
    rows += [{"question": "Who?", "answer": "me"}, {"question": "Who?", "wrong": True}, rows[0]]
    data = b"".join(json.dumps(row).encode() + b"\r\n" for row in rows) + b"{half"
    for _ in range(2):  # Sent again, nothing is done again.
        bench.run(lambda state: LineSource(io.BytesIO(data), state.inbox), at_once=2)
    assert bench.known == [f"T{n}" for n in range(5)] and sum(map(len, bench.teacher.batches)) == 5
    assert [aside.where for aside in read_asides(bench.store.path)] == ["line 7", "line 9"]
    assert bench.teacher.said[0]["answer"] == "me"
    state = State(bench.store.path)
    assert state.inbox.paths() == []
    state.close()


def test_what_came_and_was_not_learnt_waits_in_the_inbox(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    state = State(bench.store.path)
    accepted(as_line(DOCUMENT), state.inbox)
    state.close()
    bench.run(lambda state: LineSource(io.BytesIO(), state.inbox))
    assert bench.known == ["Lamp"]


def test_no_line_makes_it_fall_over(tmp_path: Path) -> None:
    """A short one of benchmarks/stream_fuzz.py."""
    inbox, draw = Inbox(tmp_path / "inbox"), random.Random(0)
    for _ in range(300):
        for line in Splitter(LONGEST).feed(garbled_line(draw) + b"\n"):
            arrival = accepted(line, inbox)
            assert arrival is None or isinstance(arrival, (Changed, Said, Aside))
