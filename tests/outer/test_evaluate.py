"""The comparisons: conditions, files of edits, a run's policies, many passages and sequences."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.outer.config import load_config
from selfedit.outer.records import RunRecords
from selfedit.outer.report import conditions, report_page
from selfedit.outer.start import evaluate, train, write_comparison
from selfedit.progress import QuietProgress
from selfedit.report import Table
from selfedit.store import Journal
from tests.outer.data import write_config

SMALL: dict[str, Any] = {"outer__rounds": 1, "outer__edits": 1, "outer__training_seeds": 1}


def compare(folder: Path, run: Path | None = None, name: str = "compared", **changes: Any) -> RunRecords:
    path = folder / "runs" / name
    evaluate(load_config(write_config(folder, **changes)), path, run, "cpu", QuietProgress())
    return RunRecords(path)


def write_edits(folder: Path) -> Path:
    rows = [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]
    path = folder / "edits.jsonl"
    text = "Odo built a bridge.\nThe bridge is old."
    path.write_text("".join(json.dumps({"context": row["context"], "self_edit": text}) + "\n" for row in rows))
    return path


def test_all_conditions_are_asked_the_same_questions(tmp_path: Path) -> None:
    config = write_config(tmp_path, **SMALL)
    train(load_config(config), tmp_path / "runs" / "trained", "cpu", QuietProgress())
    write_edits(tmp_path)
    records = compare(
        tmp_path,
        tmp_path / "runs" / "trained",
        evaluation={"max_answer_tokens": 4, "edits_from": {"odo": "edits.jsonl"}},
    )
    found, notes = conditions(records)
    assert list(found) == [
        "no update",
        "passage in context",
        "trained on the passage alone",
        "own edits, before RL",
        "edits of odo",
        "own edits, after round 1",
    ]
    assert all([len(passage) for passage in graded] == [2, 2] for graded in found.values())
    assert notes == []
    # The same policy and the same passages as in the training run's validation, under its own seeds.
    assert records.facts.hashes["policy 1"] == RunRecords(tmp_path / "runs" / "trained").rounds()[0].policy_sha256
    with pytest.raises(UserError, match=r"edits_from\.odo is not what it was"):
        (tmp_path / "edits.jsonl").write_text((tmp_path / "edits.jsonl").read_text().replace("old", "new"))
        compare(
            tmp_path,
            tmp_path / "runs" / "trained",
            evaluation={"max_answer_tokens": 4, "edits_from": {"odo": "edits.jsonl"}},
        )


def test_a_run_is_not_gone_on_with_without_what_it_compared(tmp_path: Path) -> None:
    write_config(tmp_path)
    write_edits(tmp_path)
    evaluation: dict[str, Any] = {"max_answer_tokens": 4, "conditions": ["base"]}
    compare(tmp_path, evaluation=evaluation | {"edits_from": {"odo": "edits.jsonl"}})
    with pytest.raises(UserError, match=r"edits_from\.odo is not what it was"):
        compare(tmp_path, evaluation=evaluation)


def test_a_passage_that_a_file_of_edits_leaves_out_is_answered_unchanged(tmp_path: Path) -> None:
    write_config(tmp_path)
    path = write_edits(tmp_path)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    settings = {"max_answer_tokens": 4, "conditions": ["base"], "edits_from": {"odo": "edits.jsonl"}}
    records = compare(tmp_path, evaluation=settings)
    found, notes = conditions(records)
    assert found["edits of odo"][1] == found["no update"][1]
    assert notes == ["edits of odo: 1 of 2 passages had no usable edit and were answered unchanged."]


@pytest.mark.parametrize(("regime", "setting"), [("many", "evaluation.many_training"), ("sequential", "inner")])
def test_an_adapter_that_diverges_ends_the_run_with_one_line(tmp_path: Path, regime: str, setting: str) -> None:
    wild = {"rank": 4, "alpha": 8, "epochs": 3, "learning_rate": 1e30}
    settings = {"regimes": [regime], "many": [2], "sequence": 2, "sequences": 1, "many_training": wild}
    with pytest.raises(UserError, match=rf"diverged .* Lower {re.escape(setting)}\.learning_rate"):
        compare(tmp_path, inner=wild, evaluation={"max_answer_tokens": 4} | settings)


def test_runs_of_the_same_name_are_not_set_side_by_side(tmp_path: Path) -> None:
    compare(tmp_path)
    (tmp_path / "other").mkdir()
    shutil.copytree(tmp_path / "runs" / "compared", tmp_path / "other" / "compared")
    with pytest.raises(UserError, match="Two of the runs are called compared"):
        write_comparison([tmp_path / "runs" / "compared", tmp_path / "other" / "compared"], None)


def test_runs_on_the_same_questions_stand_side_by_side(tmp_path: Path) -> None:
    compare(tmp_path, name="lines")
    compare(tmp_path, name="pairs", policy__format="self-qa")
    paths = [tmp_path / "runs" / name for name in ("lines", "pairs")]
    table = write_comparison(paths, tmp_path / "both")
    names = [row[0] for row in table.rows]
    assert names[:3] == ["no update", "passage in context", "trained on the passage alone"]
    assert names[3:] == ["lines: own edits, before RL", "pairs: own edits, before RL"]
    assert "pairs: own edits" in (tmp_path / "both" / "report.html").read_text()
    with pytest.raises(UserError, match="is there already"):
        write_comparison(paths, tmp_path / "both")
    compare(tmp_path, name="fewer", data__questions=1)
    with pytest.raises(UserError, match="Run fewer was asked other questions than lines"):
        write_comparison([paths[0], tmp_path / "runs" / "fewer"], None)


def test_many_passages_are_learnt_from_the_edits_of_a_file(tmp_path: Path) -> None:
    write_config(tmp_path)
    write_edits(tmp_path)
    many = {"rank": 4, "alpha": 8, "epochs": 1, "learning_rate": 0.01}
    evaluation = {"max_answer_tokens": 4, "regimes": ["many"], "many": [2], "many_training": many}
    records = compare(tmp_path, evaluation=evaluation | {"edits_from": {"odo": "edits.jsonl"}})
    written = {edit.text for edit in records.edits("many2-from-odo-edits")}
    assert written == {"Odo built a bridge.\nThe bridge is old."}


def test_many_passages_share_one_adapter(tmp_path: Path) -> None:
    many = {"rank": 4, "alpha": 8, "epochs": 1, "learning_rate": 0.01}
    records = compare(
        tmp_path,
        evaluation={"max_answer_tokens": 4, "regimes": ["many"], "many": [2], "many_training": many},
    )
    for source in ("passage", "v0"):
        trials = records.trials(f"many2-{source}")
        assert [trial.task_id for trial in trials] == ["v0", "v1"]
        assert len({trial.adapter_sha256 for trial in trials}) == 1
    titles = [section.heading for section in report_page(records).sections]
    assert "Many passages at once" in titles


LITTLE: dict[str, Any] = {"rank": 4, "alpha": 8, "epochs": 1, "learning_rate": 0.01}
SEQUENCE: dict[str, Any] = {"max_answer_tokens": 4, "regimes": ["sequential"], "sequence": 2, "sequences": 1}


@pytest.mark.parametrize("full", [False, True])
def test_a_sequence_is_asked_again_after_each_edit(tmp_path: Path, full: bool) -> None:
    records = compare(tmp_path, evaluation=SEQUENCE, inner=LITTLE | {"full": full})
    rows = [records._records["sequence", f"sequence0-v0-{place}"] for place in range(2)]
    assert [[evaluation["task_id"] for evaluation in row] for row in rows] == [["v0"], ["v0", "v1"]]
    # What was learnt first answers with the same log-probability only as long as nothing was merged on top of it.
    assert rows[0][0]["answers"][0]["gold_logprob"] != rows[1][0]["answers"][0]["gold_logprob"]
    section = report_page(records).sections[0]
    assert section.heading == "Sequential edits"
    table = next(block for block in section.blocks if isinstance(block, Table))
    assert [row[:2] for row in table.rows] == [("trained on the passage alone", "1"), ("own edits, before RL", "1")]


@pytest.mark.parametrize("full", [False, True])
def test_a_sequence_goes_on_after_what_was_recorded(
    tmp_path: Path, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"evaluation": SEQUENCE, "inner": LITTLE | {"full": full}}
    whole = compare(tmp_path, **settings)
    put = Journal.put

    def interrupted(self: Journal, kind: str, key: str, value: object) -> None:
        if (kind, key) == ("sequence", "sequence0-v0-1"):
            raise KeyboardInterrupt
        put(self, kind, key, value)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journal, "put", interrupted)
        compare(tmp_path, name="killed", **settings)
    assert compare(tmp_path, name="killed", **settings)._records == whole._records


@pytest.mark.parametrize("inner_from", ["policy", "base"])
def test_a_sequence_may_be_taught_by_files_and_policies(tmp_path: Path, inner_from: str) -> None:
    small = SMALL | {"outer__inner_from": inner_from}
    train(load_config(write_config(tmp_path, **small)), tmp_path / "runs" / "trained", "cpu", QuietProgress())
    write_edits(tmp_path)
    settings = SEQUENCE | {"edits_from": {"odo": "edits.jsonl"}}
    records = compare(tmp_path, tmp_path / "runs" / "trained", evaluation=settings, **small)
    (edit,) = records.edits("sequence0-from-odo-1")
    assert edit.text == "Odo built a bridge.\nThe bridge is old."
    # The policy wrote as what it is, whether or not the passages are learnt on top of it.
    (own,), (trained,) = (records.edits(f"sequence0-{source}-0") for source in ("v0", "policy-r1"))
    assert own.prompt == trained.prompt
    assert own.logprobs != trained.logprobs
    table = next(b for b in report_page(records).sections[0].blocks if isinstance(b, Table))
    names = ["trained on the passage alone", "own edits, before RL", "edits of odo", "own edits, after round 1"]
    assert [row[0] for row in table.rows] == names
    learnt = {name: records._records["sequence-adapter", f"sequence0-{name}-0"] for name in ("v0", "policy-r1")}
    assert len(set(learnt.values())) == 2


def test_too_few_passages_for_a_sequence_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sequence"):
        compare(tmp_path, evaluation={"regimes": ["sequential"], "sequence": 3, "sequences": 2})
    with pytest.raises(UserError, match="many"):
        compare(tmp_path, evaluation={"regimes": ["many"], "many": [50]})
