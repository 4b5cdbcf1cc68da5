"""`--check` says what a run would do, and does nothing of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.experiments.config import load_config
from selfedit.experiments.plan import Plan
from selfedit.experiments.runs.records import RunRecords
from selfedit.experiments.start import check, evaluate, train
from selfedit.progress import QuietProgress
from selfedit.types import Evaluation
from tests.cli.run import Cli
from tests.experiments.data import write_config

EVAL: dict[str, Any] = {
    "max_answer_tokens": 4,
    "regimes": ["single", "many", "sequential"],
    "conditions": ["base", "in-context", "passage", "own"],
    "edits": 2,
    "many": 2,
    "sequence": 2,
    "sequences": 2,
    "sequence_seeds": [1, 2],
    "training_seeds": 2,
}


def planned(kind: str, path: Path, *overrides: str) -> Plan:
    return check(kind, load_config(path, overrides), path.parent / "never", None, QuietProgress())


def counted(records: RunRecords) -> tuple[int, int, int]:
    """How many edits, adapters and questions a run had."""
    stages = dict.fromkeys(stage.edits for stage in records.stages("edits"))
    edits = sum(len(records.edits(stage)) for stage in stages)
    trials = [t for stage in records.stages("trials") for t in records.trials(str(stage)) if t.after is not None]
    adapters = len({(t.edit_id, t.seed) for t in trials})
    questions = sum(len(t.after.answers) for t in trials if t.after is not None)
    for stage in records.stages("before"):
        questions += sum(len(evaluation.answers) for evaluation in records.base(str(stage)))
    for stage in records.stages("sequence"):
        row = records.get("sequence", str(stage), tuple[Evaluation, ...]) or ()
        adapters, questions = adapters + 1, questions + sum(len(evaluation.answers) for evaluation in row)
    return edits, adapters, questions


def test_a_training_run_does_what_its_plan_says(tmp_path: Path) -> None:
    path = write_config(tmp_path, data={"train": "train.jsonl", "validation": "validation.jsonl", "contexts": 2,
                                        "validation_contexts": 2})  # fmt: skip
    plan = planned("train", path)
    train(load_config(path), tmp_path / "run", "cpu", QuietProgress())
    sums = tuple(sum(getattr(work, name) for work in plan.work) for name in ("edits", "adapters", "questions"))
    edits, adapters, questions = counted(RunRecords(tmp_path / "run"))
    assert sums == (edits, adapters + 2, questions)  # Two policies beside the adapters.
    assert not (tmp_path / "never").exists()


def test_a_comparison_does_what_its_plan_says(tmp_path: Path) -> None:
    path = write_config(tmp_path, seed=2, evaluation=EVAL, outer={"rounds": 0})
    plan = planned("eval", path)
    evaluate(load_config(path), tmp_path / "run", None, "cpu", QuietProgress())
    sums = tuple(sum(getattr(work, name) for work in plan.work) for name in ("edits", "adapters", "questions"))
    assert sums == counted(RunRecords(tmp_path / "run"))


def test_the_first_prompt_of_each_kind_is_shown_as_the_model_gets_it(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    prompts = planned("train", path).prompts
    assert prompts["writing a self-edit"].endswith("<|im_start|>assistant\n1.")
    assert "Topic: Arlen\nWhen was the bridge of Arlen built?" in prompts["asking"]
    plain = planned("train", path, "policy.prompt=plain", "policy.worked_example=false").prompts
    assert "<|im_start|>" not in plain["asking"] and plain["asking"].endswith("Answer:")
    assert "Lighthouse" in prompts["writing a self-edit"] and "Lighthouse" not in plain["writing a self-edit"]


def test_what_would_be_wrong_later_is_said_at_once(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    with pytest.raises(UserError, match="the model's window is 4096"):
        planned("train", path, "policy.max_edit_tokens=5000")
    with pytest.raises(UserError, match="has no layer 'nothing'"):
        planned("train", path, "inner.target_modules=[nothing]")
    with pytest.raises(UserError, match="never is a file"):
        (tmp_path / "never").write_text("")
        planned("train", path)


def test_the_command_prints_it_for_people_and_programs(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    cli = Cli(tmp_path).inside
    shown = cli("train", str(path), "--check", "--out", str(tmp_path / "never"))
    assert shown.code == 0 and "own edits, after round 2" in shown.out and "--- asking" in shown.out
    plan = cli("train", str(path), "--check", "--json").json
    assert plan["tasks"] == {"of round 1": 2, "of round 2": 2, "of validation": 2}
    assert [plan["work"][0][name] for name in ("what", "edits", "adapters", "questions")] == ["no update", 0, 0, 4]
