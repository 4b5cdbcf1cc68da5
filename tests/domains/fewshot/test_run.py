"""The outer loop with this domain: the same command, no special case, and a report with coloured grids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from selfedit.domains.fewshot.choices import FIXED, parse, write
from selfedit.errors import UserError
from selfedit.experiments.config import load_config
from selfedit.experiments.runs.records import RunRecords
from selfedit.experiments.start import evaluate, train
from selfedit.progress import QuietProgress
from tests.tiny import make_tiny_model

CONFIG = {
    "domain": "fewshot",
    "domain_settings": {"max_tokens": 120},
    "data": {
        "train": "25ff71a9,a85d4709",
        "validation": "ids.json#easy",
        "contexts": 2,
        "validation_contexts": 2,
    },
    "policy": {"max_edit_tokens": 320, "top_p": 1.0},
    "inner": {"rank": 4, "alpha": 8, "batch_size": 2, "schedule": "cosine"},
    "outer": {"rounds": 1, "edits": 2, "training_seeds": 1, "reward": "logprob", "must_beat_base": False},
    "evaluation": {
        "conditions": ["base", "passage", "own", "policy"],
        "grader": "exact",
        "edits": 2,
        "max_answer_tokens": 12,
    },
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    model = make_tiny_model(folder / "model")
    settings = json.loads((model / "config.json").read_text()) | {"max_position_embeddings": 4096}
    (model / "config.json").write_text(json.dumps(settings))
    (folder / "ids.json").write_text('{"easy": ["3c9b0459", "74dd1130"], "hard": ["007bbfb7"]}')
    path = folder / "puzzles.yaml"
    path.write_text(yaml.safe_dump({"model": str(model), **CONFIG}))
    return path


@pytest.fixture(scope="module")
def trained(config: Path) -> Path:
    """A run's folder, which is only read."""
    folder = config.parent / "runs" / "trained"
    train(load_config(config), folder, "cpu", QuietProgress())
    return folder


def test_a_round_and_its_report(trained: Path) -> None:
    run = RunRecords(trained)
    (record,) = run.rounds()
    assert {entry.edit.task_id for entry in record.rollouts} == {"25ff71a9", "a85d4709"}
    for entry in record.rollouts:
        parse("grid", entry.edit.text)
    assert len(run.trials("v0")) == len(run.trials("v1")) == 4
    page = (trained / "report.html").read_text()
    for said in ("What the policy chose", "fixed recipe", "pass@2", "basic augmentations", "3c9b0459", "<rect"):
        assert said in page
    assert "before RL" in page and "after round 1" in page


def test_only_edits_that_solve_are_learnt_from(config: Path, tmp_path: Path) -> None:
    settings = load_config(config, ("outer.reward=accuracy", "outer.min_reward=1.0", "outer.top_k=2"))
    train(settings, tmp_path / "run", "cpu", QuietProgress())
    (record,) = RunRecords(tmp_path / "run").rounds()
    assert not any(entry.kept for entry in record.rollouts)
    assert record.policy_sha256 == ""
    assert "policy stays as it was" in record.note


def test_too_many_steps_and_invalid_edits_are_recorded_with_their_reason(config: Path, tmp_path: Path) -> None:
    options = ("policy.constrained=false", "policy.attempts=2", "policy.max_edit_tokens=8", "outer.rounds=0")
    train(load_config(config, options), tmp_path / "free", "cpu", QuietProgress())
    run = RunRecords(tmp_path / "free")
    assert all("invalid JSON" in (trial.failure or "") for trial in run.trials("v0"))
    assert {edit.attempts for edit in run.edits("v0")} == {2}
    bounded = load_config(config, ("domain_settings={max_steps: 1, max_tokens: 800}", "outer.rounds=0"))
    train(bounded, tmp_path / "steps", "cpu", QuietProgress())
    failures = [trial.failure for trial in RunRecords(tmp_path / "steps").trials("v0")]
    assert any("steps, and 1 are allowed" in (failure or "") for failure in failures)


def test_as_the_official_code_does_it(config: Path, tmp_path: Path) -> None:
    """Its problems, prompts, views, guesses and recipe; edits that are JSON are kept, whatever they say."""
    settings = ("problems: official, prompt: chat, views: leave-one-out, guesses: 2, fixed: oracle, max_examples: 4",)
    options = (
        f"domain_settings={{{settings[0]}}}",
        "policy={format: settings-open, accept: readable, attempts: 3, max_edit_tokens: 320}",
        "inner.warmup_steps=11",
        "outer.inner_from=policy",
        "evaluation.edits=1",
    )
    train(load_config(config, options), tmp_path / "run", "cpu", QuietProgress())
    run = RunRecords(tmp_path / "run")
    assert {edit.format for edit in run.edits("v0")} == {"settings-open"}
    assert all(trial.after is not None for trial in run.trials("passage"))
    assert (tmp_path / "run" / "report.html").read_text().count("prediction") >= 2


def test_the_papers_configuration() -> None:
    """11 tasks x 15 edits, then 8 x 5, none of them in both; `docs/paper.md` has the other values."""
    paper = load_config(Path("arc_paper"))
    train_ids, ids = (str(source).split(",") for source in (paper.data.train, paper.data.validation))
    assert (len(train_ids), paper.outer.edits, len(ids), paper.evaluation.edits) == (11, 15, 8, 5)
    assert not set(train_ids) & set(ids)
    assert not {"358ba94e", "af24b4cc", "8e1813be"} & {*train_ids, *ids}
    assert paper.outer.inner_from == "policy"


def test_edits_of_before_and_after_are_compared_by_eval(config: Path, trained: Path, tmp_path: Path) -> None:
    evaluate(load_config(config), tmp_path / "eval", trained, "cpu", QuietProgress())
    assert len(RunRecords(tmp_path / "eval").trials("policy-r1")) == 4


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (
            "policy.format=rewrite",
            "Unknown format 'rewrite' .policy.format. of the domain 'fewshot'. Known: none, settings, settings-open",
        ),
        ("data.validation_index=ids.json", "name tasks by their ids"),
        ("data.train=25ff71a9,arc1:25ff71a9", "names 25ff71a9 more than once"),
        ("domain_settings={views: twice}", "domain_settings.views is 'twice'. Known: leave-one-out, once, rigid"),
        ("domain_settings={max_tokens: abc}", "domain_settings.max_tokens is 'abc'"),
        ("data.train=25ff71a8", "Did you mean '25ff71a9'"),
        ("data.train=ids.json", "holds lists of ids; name one of them"),
        (
            "domain_settings={most_step: 3}",
            "The domain 'fewshot' has no setting 'most_step'. Did you mean 'max_steps'",
        ),
        ("evaluation.max_answer_tokens=4090", "takes 4[0-9]{3} tokens with its longest question"),
    ],
)
def test_mistakes(config: Path, tmp_path: Path, option: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        train(load_config(config, (option,)), tmp_path / "run", "cpu", QuietProgress())


def test_a_reward_that_reads_passages_is_refused(config: Path) -> None:
    for change in ("outer.reward=rubric", "outer.screen=rubric"):
        with pytest.raises(UserError, match="reads passages, and tasks of 'fewshot' have none"):
            load_config(config, (change, "outer.finalists=1") if "screen" in change else (change,))


def test_edits_of_a_file_are_found_by_the_tasks_title(config: Path, tmp_path: Path) -> None:
    edit = write(FIXED["grid"])
    rows = [{"title": name, "self_edit": edit} for name in ("3c9b0459", "74dd1130")]
    (config.parent / "edits.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    changes = ("evaluation.edits_from={fixed: edits.jsonl}", "evaluation.conditions=[base, passage]")
    evaluate(load_config(config, (*changes, "evaluation.edits=1")), tmp_path / "run", None, "cpu", QuietProgress())
    run = RunRecords(tmp_path / "run")
    assert [trial.failure for trial in run.trials("from-fixed")] == [None, None]
    # The same choices as the fixed recipe's, with the same seed, are the same adapters.
    hashes = [[trial.adapter_sha256 for trial in run.trials(key)] for key in ("from-fixed", "passage")]
    assert sorted(hashes[0]) == sorted(hashes[1])
