"""`selfedit grade`: its figures, and what it says of files that are not right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import Cli

ROWS: list[dict[str, Any]] = [
    {"question": "Who keeps it?", "answer": "Mira", "prediction": "It is kept by Mira.", "correct": True},
    {"question": "Who keeps it?", "answer": "Mira", "prediction": "It is kept by Orlan.", "correct": False},
    {"question": "How many lamps?", "answers": ["37"], "prediction": "thirty-seven lamps", "correct": True},
    {"question": "How many lamps?", "answer": ["37", "many"], "prediction": "Many [b]lamps", "correct": False},
]


def write(cli: Cli, rows: list[dict[str, Any]], name: str = "a.jsonl") -> str:
    (cli.folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def test_figures(cli: Cli) -> None:
    outcome = cli("grade", write(cli, ROWS), "--grader", "match", "--json")
    found = outcome.json
    assert not outcome.imported_torch
    assert [v["correct"] for v in found["verdicts"]] == [True, False, True, True]
    assert found["verdicts"][0]["reason"] == "contains 'Mira'"
    assert (found["grader"], found["rows"], found["accuracy"]) == ("match", 4, 0.75)
    assert (found["agreement"], found["kappa"], found["bias"], found["compared"]) == (0.75, 0.5, 0.25, 4)
    assert found["confusion"] == {"both_right": 2, "both_wrong": 1, "only_grader_right": 1, "only_given_right": 0}


def test_learned_without_torch(cli: Cli) -> None:
    outcome = cli("grade", write(cli, ROWS), "--grader", "learned", "--json")
    assert not outcome.imported_torch
    assert [v["correct"] for v in outcome.json["verdicts"]][:3] == [True, False, True]


def test_verdicts_in_some_rows_only(cli: Cli) -> None:
    rows = [ROWS[0], {key: value for key, value in ROWS[1].items() if key != "correct"}]
    found = cli("grade", write(cli, rows), "--json").json
    assert (found["rows"], found["compared"], found["agreement"]) == (2, 1, 1.0)
    assert "rows with 'correct'" in cli("grade", "a.jsonl").out
    bare = cli("grade", write(cli, rows[1:]), "--json").json
    assert "kappa" not in bare and bare["accuracy"] == 0


def test_table_and_file(cli: Cli) -> None:
    outcome = cli("grade", write(cli, ROWS * 10), "--out", "graded.jsonl")
    assert outcome.code == 0, outcome.err
    assert "+25.0 points" in outcome.out and "Many [b]lamps" in outcome.out and "and 20 more" in outcome.out
    written = [json.loads(line) for line in (cli.folder / "graded.jsonl").read_text().splitlines()]
    assert len(written) == 40
    assert written[1] == ROWS[1] | {"graded": False, "reason": "does not contain 'Mira'"}


def test_judge_that_is_not_there(cli: Cli, store: Path) -> None:
    line = cli.refused("grade", write(cli, ROWS), "--grader", "judge", store=store)
    assert line.startswith("The grader 'judge' needs SELFEDIT_JUDGE_URL")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, r"There is no file a\.jsonl\."),
        ("", r"a\.jsonl is empty"),
        (" \n", r"a\.jsonl holds only whitespace"),
        ('{"question": "a", "answer": "b", "prediction": "c"}\n{', r"a\.jsonl, line 2: not JSON"),
        ("[]", r"a\.jsonl, line 1: not an object"),
        ('\n{"question": "a", "answer": "b"}', r"a\.jsonl, line 2: 'prediction' is missing"),
        ('{"question": "a", "prediction": "b"}', r"a\.jsonl, line 1: 'answer' is missing"),
        ('{"answer": "a", "prediction": "b"}', r"a\.jsonl, line 1: 'question' is missing"),
        ('{"question": "", "answer": "a", "prediction": "b"}', r"a\.jsonl, line 1: 'question' is empty"),
        ('{"question": "a", "answer": 3, "prediction": "b"}', r"a\.jsonl, line 1: 'answer' must be text or a list"),
        ('{"question": "a", "answers": [], "prediction": "b"}', r"a\.jsonl, line 1: 'answers' is empty"),
        ('{"question": "a", "answer": "b", "prediction": null}', r"a\.jsonl, line 1: 'prediction' must be text, not n"),
        (
            '{"question": "a", "answer": "b", "prediction": "c", "correct": 1}',
            r"a\.jsonl, line 1: 'correct' must be true or false, not 1",
        ),
    ],
)
def test_bad_file(cli: Cli, store: Path, text: str | None, said: str) -> None:
    if text is not None:
        (cli.folder / "a.jsonl").write_text(text)
    assert re.match(said, cli.refused("grade", "a.jsonl", store=store))


def test_unknown_grader(cli: Cli, store: Path) -> None:
    line = cli.refused("grade", write(cli, ROWS), "--grader", "lerned", store=store)
    assert line == "Unknown grader 'lerned'. Did you mean 'learned'?"
