"""Published figures stand beside ours where a configuration asks for them, with both kinds of mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.experiments.config import load_config
from selfedit.experiments.runs.page import conditions, report_page
from selfedit.experiments.runs.published import published_tables
from selfedit.experiments.runs.records import RunRecords
from selfedit.experiments.shipped import FOLDER
from selfedit.experiments.start import evaluate
from selfedit.progress import QuietProgress
from selfedit.report import Table
from tests.experiments.data import write_config

SMALL: dict[str, Any] = {"max_answer_tokens": 4, "conditions": ["base", "passage"], "grader": "match"}


def tables(folder: Path, **changes: Any) -> tuple[RunRecords, list[Table]]:
    evaluate(load_config(write_config(folder, **changes)), folder / "run", None, "cpu", QuietProgress())
    records = RunRecords(folder / "run")
    sections = [s for s in report_page(records).sections if s.heading == "Beside the published figures"]
    return records, [block for section in sections for block in section.blocks if isinstance(block, Table)]


def test_they_stand_beside_ours_and_what_differs_is_named(tmp_path: Path) -> None:
    records, (table,) = tables(tmp_path, published="squad_paper", evaluation=SMALL)
    rows = {row[0]: row[1:] for row in table.rows}
    base = conditions(records)[0]["no update"]
    of_questions = f"{100 * sum(map(sum, base)) / sum(map(len, base)):.1f}"
    assert rows["no update"][:2] == ("32.7", "32.0") and rows["no update"][3] == of_questions
    assert rows["edits of gpt-4.1"] == ("46.3", "45.6", "-", "-")
    assert "This run is not theirs" in table.note and "evaluation.grader" in table.note and "model" in table.note


def test_many_passages_have_a_table_a_number(tmp_path: Path) -> None:
    evaluation = SMALL | {"regimes": ["many"], "many": [1, 2], "many_training": {"rank": 4, "epochs": 1}}
    _, found = tables(tmp_path, published="squad_paper_v2_cpt", evaluation=evaluation, outer={"rounds": 0})
    assert [table.title for table in found] == ["Accuracy, %, 1 passages", "Accuracy, %, 2 passages"]
    assert found[0].columns[1:3] == ("published: n = 200", "published: n = 2,067")


def test_a_run_that_asks_for_none_has_none(tmp_path: Path) -> None:
    assert tables(tmp_path, evaluation=SMALL)[1] == []


def test_an_unknown_table_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="published figures 'squad_papr'"):
        tables(tmp_path, published="squad_papr", evaluation=SMALL)


def test_every_table_belongs_to_a_configuration_that_asks_for_it() -> None:
    for name, table in published_tables().items():
        config = load_config(FOLDER / f"{name}.yaml")
        assert config.published == name
        groups = table["figures"].values() if "by" in table else [table["figures"]]
        assert all(len(row) == len(table["columns"]) for group in groups for row in group.values())
