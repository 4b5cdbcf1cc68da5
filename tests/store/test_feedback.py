"""What people said of answers, as a store keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.store import Feedback, Store, parse_feedback, read_feedback
from selfedit.store.feedback import latest, logged_feedback

WHO = "Who keeps the tower?"


def test_is_stored_once_with_who_and_when_and_is_in_the_log(store: Store) -> None:
    (first,) = store.add_feedback([Feedback(WHO, "Ana\n  Belk", who="ana")])
    assert (first.answer, first.who, len(first.id), bool(first.time)) == ("Ana Belk", "ana", 12, True)
    again = store.add_feedback([Feedback(WHO, "Ana Belk", who="ana"), Feedback(WHO, who="ben")])
    assert again[0] == first
    assert store.feedback.all() == again
    entries = [entry for entry in store.audit.entries() if entry.action == "feedback"]
    assert [(entry.subject, entry.details["who"]) for entry in entries] == [(again[0].id, "ana"), (again[1].id, "ben")]


def test_a_person_may_change_their_mind_and_change_it_back(store: Store) -> None:
    for answer in ("Ana", "Ben", "Ben", "Ana"):
        store.add_feedback([Feedback(WHO, answer, who="ana")])
    assert [each.answer for each in store.feedback.all()] == ["Ana", "Ben", "Ana"]
    assert [[each.answer for each in said] for said in latest(store.feedback.all()).values()] == [["Ana"]]


def test_what_a_kill_left_half_done_is_mended(store: Store) -> None:
    store.add_feedback([Feedback(WHO, "Ana")])
    whole = store.feedback.path.read_bytes()
    line = whole.replace(b"Ana", b"Ben").replace(store.feedback.all()[0].id.encode(), b"0" * 12)
    # One line that never got into the log, and half of another one.
    store.feedback.path.write_bytes(whole + line + line[:40])
    assert len(store.feedback.all()) == 2
    store.add_feedback([Feedback("What is it made of?", "Stone")])
    stored = store.feedback.all()
    assert [each.answer for each in stored] == ["Ana", "Ben", "Stone"]
    assert list(logged_feedback(store.audit)) == [each.id for each in stored]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([], "not an object"),
        ({"question": WHO}, "neither"),
        ({"question": WHO, "answer": ""}, "neither"),
        ({"question": " ?", "answer": "x"}, "question is empty"),
        ({"question": WHO, "answer": "?!"}, "no word"),
        ({"question": WHO, "answer": 3}, "'answer' is not a text"),
        ({"question": WHO, "answr": "x"}, "answer"),
        ({"question": WHO, "wrong": True, "who": "a\nb"}, "actor"),
        ({"question": "q" * 3000, "wrong": True}, "2000 at most"),
    ],
)
def test_what_is_no_feedback(fields: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_feedback(fields)


def test_a_file_of_it(tmp_path: Path, store: Store) -> None:
    file = tmp_path / "said.jsonl"
    file.write_text('{"question": "Who?", "answer": "Ana", "who": "ana"}\n\n{"question": "Who?", "wrong": "Ben"}\n')
    assert read_feedback(file) == [Feedback("Who?", "Ana", who="ana"), Feedback("Who?", said="Ben")]
    file.write_text('{"question": "Who?", "wrong": true}\n{"question": 1}\n')
    with pytest.raises(UserError, match="line 2"):
        read_feedback(file)
    with pytest.raises(UserError, match="the question is empty"):
        store.add_feedback([Feedback(" ", "x")])
    assert store.feedback.all() == []
