"""`selfedit feedback` and `selfedit drift` without a model: what is stored, listed and refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.run import Cli


def test_feedback_is_stored_and_listed_harmlessly(cli: Cli, store: Path) -> None:
    where = ("--store", str(store))
    said = cli.inside("--actor", "ana", "feedback", "Who keeps\x1b[2J it?", "--answer", "Ana\nBelk", *where, "--json")
    stored = said.json
    assert stored["feedback"][0]["who"] == "ana" and stored["feedback"][0]["answer"] == "Ana Belk"
    assert cli.inside("feedback", "When was it built?", "--wrong", "--said", "1889", *where).code == 0
    listed = cli.inside("feedback", *where).out
    assert "\x1b" not in listed and "Ana Belk" in listed and "needs an answer" in listed and "next update" in listed
    assert len(cli.inside("feedback", "--json", *where).json["feedback"]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--answer", "x"), "Name the question"),
        (("Who?",), "--wrong"),
        (("Who?", "--answer", "x", "--wrong"), "--wrong"),
        (("Who?", "--answer", " "), "--answer is empty"),
        ((" ? ", "--answer", "x"), "the question is empty"),
        (("Who?", "--answer", "x" * 501), "500 at most"),
        (("--again",), "--learn"),
        (("--file", "nothing.jsonl"), "no file"),
        (("Who?", "--file", "nothing.jsonl"), "leave the others out"),
    ],
)
def test_what_is_no_feedback_is_one_line(cli: Cli, store: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in cli.refused("feedback", *arguments, store=store, torch=True)
    assert not (store / "feedback.jsonl").exists()


def test_a_file_is_stored_whole_or_not_at_all(cli: Cli, store: Path, tmp_path: Path) -> None:
    file = tmp_path / "said.jsonl"
    file.write_text(json.dumps({"question": "Who?", "answer": "Ana"}) + '\n{"question": "Who?"}\n')
    assert "line 2" in cli.refused("feedback", "--file", file, store=store, torch=True)
    assert not (store / "feedback.jsonl").exists()


def test_drift_that_was_not_measured_is_said_to_be(cli: Cli, store: Path) -> None:
    for command in (("drift", "--known"), ("show",)):
        outcome = cli(*command, "--store", store)
        assert "not measured" in outcome.out and not outcome.imported_torch, outcome
    taken = store / "store.json"
    assert "already" in cli.refused("drift", "--svg", taken, store=store)
