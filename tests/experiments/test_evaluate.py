"""The comparisons: conditions, files of edits, a run's policies, many passages and sequences."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.experiments.config import load_config
from selfedit.experiments.evaluate import sequences_of
from selfedit.experiments.groups import EvaluationSettings
from selfedit.experiments.runs.page import conditions, report_page
from selfedit.experiments.runs.records import RunRecords, gold_logprob
from selfedit.experiments.start import evaluate, train, write_comparison
from selfedit.progress import QuietProgress
from selfedit.report import Bullets, Section, Table
from selfedit.store import Journal
from selfedit.types import Task
from tests.experiments.data import write_config

SMALL: dict[str, Any] = {"seed": 2, "outer__rounds": 1, "outer__edits": 1, "outer__training_seeds": 1}


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
    assert notes == ["edits of odo: in 1 case no edit could be used, and the model answered as it was."]


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
    table, likelihoods = write_comparison(paths, tmp_path / "both")
    assert [row[0] for row in likelihoods.rows] == [row[0] for row in table.rows]
    assert likelihoods.columns[2] == "log-probability"
    names = [row[0] for row in table.rows]
    assert names[:3] == ["no update", "passage in context", "trained on the passage alone"]
    assert names[3:] == ["lines: own edits, before RL", "pairs: own edits, before RL"]
    assert "pairs: own edits" in (tmp_path / "both" / "report.html").read_text()
    with pytest.raises(UserError, match="is there already"):
        write_comparison(paths, tmp_path / "both")
    compare(tmp_path, name="fewer", data__questions=1)
    with pytest.raises(UserError, match="Run fewer was asked other questions than lines"):
        write_comparison([paths[0], tmp_path / "runs" / "fewer"], None)
    renamed = paths[1].rename(tmp_path / "runs" / "questions")
    names = [row[0] for row in write_comparison([paths[0], renamed], None)[0].rows]
    assert names[-1] == "questions: own edits, before RL"


LITTLE: dict[str, Any] = {"rank": 4, "alpha": 8, "epochs": 1, "learning_rate": 0.01}
MANY: dict[str, Any] = {
    "max_answer_tokens": 4,
    "regimes": ["many"],
    "many": [2],
    "many_training": LITTLE | {"epochs": 20, "learning_rate": 0.1},
}


def tables_of(section: Section) -> list[Table]:
    return [block for block in section.blocks if isinstance(block, Table)]


def notes_of(section: Section) -> list[str]:
    return [note for block in section.blocks if isinstance(block, Bullets) for note in block.items]


def test_many_passages_are_learnt_from_the_edits_of_a_file(tmp_path: Path) -> None:
    write_config(tmp_path)
    write_edits(tmp_path)
    records = compare(tmp_path, evaluation=MANY | {"edits_from": {"odo": "edits.jsonl"}})
    written = {edit.text for edit in records.edits("many2-from-odo-edits")}
    assert written == {"Odo built a bridge.\nThe bridge is old."}


def test_many_passages_share_one_adapter(tmp_path: Path) -> None:
    write_config(tmp_path)
    write_edits(tmp_path)
    settings = {"conditions": ["base", "passage"], "edits_from": {"odo": "edits.jsonl"}}
    records = compare(tmp_path, evaluation=MANY | settings)
    for source in ("passage", "from-odo"):
        trials = records.trials(f"many2-{source}")
        assert [trial.task_id for trial in trials] == ["v0", "v1"]
        assert len({trial.adapter_sha256 for trial in trials}) == 1
    section = report_page(records).sections[0]
    assert section.heading == "Many passages at once"
    right, likely = tables_of(section)
    assert right.title == "2 passages in one adapter: How many answers are right"
    assert [row[0] for row in likely.rows] == ["no update", "trained on the passage alone", "edits of odo"]
    # The adapters answer, and not the model as it was.
    assert len({row[2:4] for row in likely.rows}) == 3
    assert notes_of(section) == []
    with pytest.raises(UserError, match="Run compared has no answers passage by passage"):
        write_comparison([tmp_path / "runs" / "compared"], None)


def test_many_passages_with_several_seeds_have_intervals_for_other_seeds(tmp_path: Path) -> None:
    one, two = (
        compare(tmp_path, name=f"s{seeds}", outer__rounds=0, evaluation=MANY | {"training_seeds": seeds})
        for seeds in (1, 2)
    )
    trials = two.trials("many2-passage")
    assert {trial.seed for trial in trials} == {1000, 1001} and len({trial.adapter_sha256 for trial in trials}) == 2
    notes = [[b.note for s in report_page(r).sections for b in s.blocks if isinstance(b, Table)] for r in (one, two)]
    assert any("conditional on the one model" in note for note in notes[0])
    assert not any("conditional" in note for note in notes[1])
    assert any("for other training seeds, too, of which there are 2" in note for note in notes[1])


def test_runs_that_differ_in_their_seed_have_intervals_over_seeds(tmp_path: Path) -> None:
    paths = []
    for seed in (1, 2):
        path = tmp_path / "runs" / f"seed{seed}"
        train(load_config(write_config(tmp_path, **SMALL | {"seed": seed})), path, "cpu", QuietProgress())
        paths.append(path)
    (alone,) = (s for s in report_page(RunRecords(paths[0])).sections if s.heading == "Result")
    assert all("in own edits, after round 1: their intervals are conditional" in t.note for t in tables_of(alone))
    tables = write_comparison(paths, None)
    over = [table for table in tables if table.title.endswith("over 2 seeds")]
    assert len(over) == 2 and all("for other training seeds, too" in table.note for table in over)
    assert [row[0] for row in over[0].rows][-1] == "own edits, after round 1"
    assert any("seed1: own edits, after round 1" in t.note and "conditional" in t.note for t in tables if t not in over)


def test_repeats_are_kept_where_they_are_asked_for(tmp_path: Path) -> None:
    write_config(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "validation.jsonl").read_text().splitlines()]
    edits = [{"context": row["context"], "self_edit": "Odo built a bridge."} for row in rows for _ in range(2)]
    (tmp_path / "edits.jsonl").write_text("".join(json.dumps(edit) + "\n" for edit in edits))
    settings = MANY | {"edits": 2, "edits_from": {"odo": "edits.jsonl"}, "conditions": ["base"]}
    settings["many_training"] = LITTLE | {"batch_size": 1}
    made = []
    for keep in (False, True):
        evaluation = settings | {"keep_repeats": keep}
        records = compare(tmp_path, name=f"keep-{keep}", outer__rounds=0, evaluation=evaluation)
        made.append(len(records.trials("many2-from-odo")[0].losses))
    assert made == [4, 8]  # Two passages and two lines, a step each; twice that with what the second edits repeat.


def test_sequences_are_drawn_as_in_the_official_runs() -> None:
    """`random.seed(42)`, then `random.sample(passages, 8)` a sequence (continual_self_edits.py:403 and 418)."""
    tasks = [Task(f"v{number}", "", "", ()) for number in range(2067)]
    settings = EvaluationSettings(sequence=8, sequences=4, sequence_seeds=(42, 43))
    drawn = [[task.id for task in sequence] for sequence in sequences_of(tasks, settings)]
    assert drawn[0] == ["v456", "v102", "v1126", "v1003", "v914", "v571", "v419", "v356"]
    assert [len(set(sequence)) for sequence in drawn] == [8] * 4 and drawn[2] != drawn[0]


@pytest.mark.parametrize(("rows", "missing"), [(1, 1), (2, 2)])
def test_many_passages_without_usable_edits_teach_nothing(tmp_path: Path, rows: int, missing: int) -> None:
    """One passage has no edit in the file, or both have one that says nothing."""
    write_config(tmp_path)
    path = write_edits(tmp_path)
    lines = path.read_text().splitlines()[:rows]
    if rows == 2:
        lines = [json.dumps(json.loads(line) | {"self_edit": "7"}) for line in lines]
    path.write_text("".join(f"{line}\n" for line in lines))
    settings = MANY | {"conditions": ["base"], "edits_from": {"gpt-4.1": "edits.jsonl"}}
    records = compare(tmp_path, evaluation=settings)
    section = report_page(records).sections[0]
    note = f"edits of gpt-4.1: nothing was learnt about {missing} of the passages, for want of a usable edit."
    assert notes_of(section) == [note]
    base, learnt = tables_of(section)[1].rows
    assert (base[2] == learnt[2]) == (missing == 2)


def test_an_edit_that_cannot_be_used_counts_as_no_update(tmp_path: Path) -> None:
    write_config(tmp_path)
    path = write_edits(tmp_path)
    good = path.read_text().splitlines()[:2]
    settings: dict[str, Any] = {"max_answer_tokens": 4, "conditions": ["base"], "edits": 2}
    settings |= {"edits_from": {"odo": "edits.jsonl"}}
    found = {}
    for name, extra in (("good", ()), ("half", ("7", "7"))):
        rows = [*good, *(json.dumps(json.loads(line) | {"self_edit": x}) for line, x in zip(good, extra, strict=False))]
        path.write_text("".join(f"{row}\n" for row in rows))
        found[name], notes = conditions(compare(tmp_path, name=name, evaluation=settings), gold_logprob)
    assert notes == ["edits of odo: in 2 cases no edit could be used, and the model answered as it was."]
    for base, good_row, half in zip(*(found[n][k] for n, k in COLUMNS), strict=True):
        assert half == pytest.approx([(b + g) / 2 for b, g in zip(base, good_row, strict=True)])


COLUMNS = (("good", "no update"), ("good", "edits of odo"), ("half", "edits of odo"))
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


def test_a_sequence_learns_nothing_where_there_is_no_edit(tmp_path: Path) -> None:
    write_config(tmp_path)
    path = write_edits(tmp_path)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    settings: dict[str, Any] = {"conditions": ["base"], "edits_from": {"gpt-4.1": "edits.jsonl"}}
    records = compare(tmp_path, evaluation=SEQUENCE | settings)
    rows = [records._records["sequence", f"sequence0-from-gpt-4.1-{place}"] for place in range(2)]
    assert rows[0][0] == rows[1][0]
    section = report_page(records).sections[0]
    assert notes_of(section) == [
        "edits of gpt-4.1: nothing was learnt about 1 of the passages, for want of a usable edit."
    ]
    assert sorted(path.name for path in (tmp_path / "runs" / "compared" / "figures").iterdir()) == [
        "sequence-1-accuracy.svg",
        "sequence-1-log-probability.svg",
    ]


def test_layers_that_the_model_lacks_are_named_before_anything_is_asked(tmp_path: Path) -> None:
    many = LITTLE | {"target_modules": ["q_proj", "v_prog"]}
    with pytest.raises(UserError, match=r"^evaluation.many_training.target_modules: .*'v_prog'. Did you mean 'v_proj'"):
        compare(tmp_path, evaluation=MANY | {"many_training": many})
    with pytest.raises(UserError, match=r"^inner.target_modules: .*'c_attn'"):
        compare(tmp_path, inner=LITTLE | {"target_modules": ["c_attn"]})
    with pytest.raises(UserError, match=r"^inner.target_modules: 'nothing.*' names no layers"):
        compare(tmp_path, inner=LITTLE | {"target_modules": "nothing.*"})
    assert not (tmp_path / "runs").exists()


def test_a_run_without_policies_is_not_compared(tmp_path: Path) -> None:
    compare(tmp_path)
    with pytest.raises(UserError, match="has no policy: no round ended with one"):
        compare(tmp_path, tmp_path / "runs" / "compared", name="again")


def test_too_few_passages_for_a_sequence_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sequence"):
        compare(tmp_path, evaluation={"regimes": ["sequential"], "sequence": 3, "sequences": 2})
    with pytest.raises(UserError, match="many"):
        compare(tmp_path, evaluation={"regimes": ["many"], "many": [50]})


def test_what_a_run_began_from_lies_below_all_that_it_trains(tmp_path: Path) -> None:
    first = tmp_path / "runs" / "first"
    train(load_config(write_config(tmp_path, **SMALL)), first, "cpu", QuietProgress())
    started = SMALL | {"policy__start": str(first / "policy-r1")}
    second = tmp_path / "runs" / "second"
    train(load_config(write_config(tmp_path, **started)), second, "cpu", QuietProgress())
    plain, taught = RunRecords(first), RunRecords(second)

    def written(records: RunRecords, stage: str) -> list[tuple[float, ...]]:
        return [edit.logprobs for edit in records.edits(stage)]

    assert written(taught, "v0") == written(plain, "v1")
    assert written(taught, "r1") != written(plain, "r1")
    compared = compare(
        tmp_path, second, evaluation={"conditions": ["own", "policy"], "max_answer_tokens": 4}, **started
    )
    assert written(compared, "v0") == written(taught, "v0")
    assert written(compared, "policy-r1") == written(taught, "v1")
    assert written(taught, "v1") != written(taught, "v0")
