"""`watch`, `aside` and `learn -` as commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from selfedit.cli import stream as cli_stream
from tests.cli.run import Cli, error_of

LINE = {
    "title": "Ferrow bridge",
    "text": "The Ferrow bridge was built in 1889 by Gustave Orlan.",
    "questions": [{"question": "Who built the Ferrow bridge?", "answer": "Gustave Orlan"}],
}


def test_mistakes_are_one_line_and_make_no_store(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for arguments, said in (
        (("watch", "nowhere"), "There is no folder nowhere"),
        (("watch", "docs", "--settle", "-1"), "--settle"),
        (("watch", "docs", "--at-once", "0"), "--at-once"),
        (("watch", "docs", "--grader", "mach"), "grader"),
        (("watch", "\x1b[31m\n"), "There is no folder"),
        (("learn", "-", "docs"), "no other file"),
        (("learn", "-", "--questions", "q.jsonl"), "--questions"),
        (("learn", "-", "--fresh"), "--from or --fresh"),
        (("aside",), "There is no store"),
    ):
        assert said in error_of(cli.inside(*arguments, "--json")), arguments
    assert not (tmp_path / ".selfedit").exists()


def test_a_folder_in_the_store(cli: Cli, store: Path) -> None:
    assert "lies in the store" in error_of(cli.inside("watch", store / "versions", "--store", store, "--json"))


def test_learn_from_standard_input_and_list_what_was_set_aside(
    cli: Cli, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "lines"
    data.write_bytes(json.dumps(LINE).encode() + b'\n{"title": "\x1b[31m"}\n{bad \x1b[31m\n')
    settings = {"gates": (), "guards": (), "format": "none", "max_answer_tokens": 4}
    original = cli_stream.learn_from_stdin

    def lenient(session: Any, given: dict[str, Any], *rest: Any) -> None:
        original(session, given | settings, *rest)

    monkeypatch.setattr(cli_stream, "learn_from_stdin", lenient)
    with data.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        outcome = cli.inside("learn", "-", "--model", tiny, "--epochs", "1", "--json", "--quiet")
    assert outcome.code == 0, outcome.err
    events = [json.loads(line) for line in outcome.out.splitlines()]
    assert [event["event"] for event in events] == ["started", "aside", "aside", "learning", "learnt", "ended"]
    assert events[4]["version"] == "v1" and events[5]["learnt"] == 1 and "\x1b" not in outcome.out
    found = cli.inside("aside", "--json").json["aside"]
    assert [(each["where"], each["text"][:5]) for each in found] == [("line 2", '{"tit'), ("line 3", "{bad ")]
    shown = cli.inside("aside")
    assert "line 3" in shown.out and "\x1b" not in shown.out
    assert len(cli.inside("aside", "--retry", "--json").json["retried"]) == 2
    assert cli.inside("aside", "--json").json == {"aside": []}
    assert "Nothing was set aside as" in error_of(cli.inside("aside", "abc", "--json"))


def test_watch_needs_its_package(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    code = "import sys; sys.modules['watchfiles'] = None; from selfedit.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "watch", "docs"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "pip install 'selfedit[watch]'" in done.stderr and done.stderr.count("\n") == 1
