"""A configuration is checked before anything is loaded, and says in one line what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.experiments.config import load_config
from selfedit.experiments.data import read_data
from selfedit.experiments.shipped import FOLDER
from selfedit.experiments.start import evaluate, train
from selfedit.progress import QuietProgress
from tests.experiments.data import write_config

CONFIGS = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configurations_that_come_with_it_are_valid(path: Path) -> None:
    load_config(path)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("outer.editz=3", "unknown key 'outer.editz'. .*edits"),
        ("sede=3", "unknown key 'sede'. .*seed"),
        ("outer.edits=-1", "'outer.edits' is -1"),
        ("outer.edits=several", "'outer.edits' is 'several'"),
        ("outer.top_k=9", "outer.top_k is 9, but only 2 edits"),
        ("outer.finalists=1", "go together"),
        ("outer.reward=acuracy", "accuracy"),
        ("outer.reward=json:nothing", "Cannot find the reward"),
        ("outer.training.full=true", "LoRA"),
        ("policy.format=rewritten", "rewrite"),
        ("evaluation.grader=mach", "match"),
        ("evaluation.conditions=[bse]", "base"),
        ("data.starts=[0]", "names 1 rounds"),
        ("data.starts=[-1, 0]", "data.starts.0' is -1"),
        ("evaluation.many=[]", "evaluation.many' is"),
        ("evaluation.many=[0]", "evaluation.many.0' is 0"),
        ("policy.format=none", "'none' writes nothing"),
        ("policy.format=[a]", "Unknown format"),
        ("outer.reward=.a:b", "Cannot find the reward"),
        ("domain=.a:b", "Cannot find the domain"),
        ("domain_settings={grounded: 3}", "domain_settings.grounded is 3; it must be like False|True"),
        ("domain_settings={groundet: false}", "no setting 'groundet'. Did you mean 'grounded'"),
        ("inner={full: true}", "'peft' trains LoRA only"),
        ("evaluation.many_training={full: true}", "leave evaluation.many_training.full out"),
        ("evaluation.regimes=[sequential]", "'vllm' does not see what is merged"),
        ("domain_settings={5: 1}", "no setting '5'"),
        ("inner.learning_rate=.inf", "learning_rate"),
        ("outer", "key=value"),
        ("model.name=3", "not a group"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, override: str, message: str) -> None:
    path = write_config(tmp_path)
    unusual = ("engine.inner_loop=peft", "engine.generator=vllm")
    with pytest.raises(UserError, match=message) as raised:
        load_config(path, (*unusual, override))
    assert "\n" not in str(raised.value)


def test_policies_that_vllm_would_not_see_are_refused(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path), ("engine.generator=vllm",))
    with pytest.raises(UserError, match="'vllm' does not see the policy"):
        train(config, tmp_path / "run", "cpu", QuietProgress())
    with pytest.raises(UserError, match="'vllm' does not see the policies of --run"):
        evaluate(config, tmp_path / "eval", tmp_path / "run", "cpu", QuietProgress())
    assert not (tmp_path / "run").exists()


def test_a_domain_says_how_it_is_graded(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    assert load_config(path).evaluation.grader == "learned"
    few_shot = ("domain=fewshot", "policy.format=settings")
    assert load_config(path, few_shot).evaluation.grader == "exact"
    assert load_config(path, (*few_shot, "evaluation.grader=match")).evaluation.grader == "match"


def test_an_override_is_yaml(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path), ("outer.edits=4", "inner.target_modules=[q_proj, v_proj]"))
    assert config.outer.edits == 4
    assert config.inner.target_modules == ("q_proj", "v_proj")


@pytest.mark.parametrize("text", ["", "- a list", "a: [unclosed", "outer: {}", "3: a"])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"bad\.yaml"):
        load_config(path)


def test_more_passages_than_there_are_is_refused(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    with pytest.raises(UserError, match=r"Round 2 needs passages 4 to 7, and .* has 6"):
        read_data(load_config(path, ("data.contexts=4",)))
    with pytest.raises(UserError, match="validation_contexts is 9"):
        read_data(load_config(path, ("data.validation_contexts=9",)))


def test_missing_data_says_how_to_get_it(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    with pytest.raises(UserError, match=r"nowhere\.json \(data\.train\) is not there\. .*SQuAD"):
        read_data(load_config(path, ("data.train=nowhere.json",)))


@pytest.mark.parametrize(
    "row", ["not json", "[]", '{"context": ""}', '{"context": "c", "questions": [{"question": "q"}]}']
)
def test_a_wrong_line_is_named(tmp_path: Path, row: str) -> None:
    path = write_config(tmp_path)
    good = (tmp_path / "train.jsonl").read_text().splitlines()[0]
    (tmp_path / "train.jsonl").write_text(f"{good}\n{row}\n")
    with pytest.raises(UserError, match=r"train\.jsonl, line 2"):
        read_data(load_config(path))


def test_rounds_take_their_passages_in_turn_or_where_they_are_told(tmp_path: Path) -> None:
    path = write_config(tmp_path)

    def ids(*overrides: Any) -> list[list[str]]:
        return [[task.id for task in tasks] for tasks in read_data(load_config(path, overrides)).rounds]

    assert ids() == [["t0", "t1"], ["t2", "t3"]]
    assert ids("data.starts=[3, 0]") == [["t3", "t4"], ["t0", "t1"]]


def test_the_validation_index_chooses_and_orders(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps([2, 0]))
    data = read_data(load_config(path, ("data.validation_index=index.json", "data.questions=1")))
    assert [task.id for task in data.validation] == ["v2", "v0"]
    assert all(len(task.probes) == 1 for task in data.validation)
    (tmp_path / "index.json").write_text(json.dumps([2, 2]))
    with pytest.raises(UserError, match="names a passage more than once"):
        read_data(load_config(path, ("data.validation_index=index.json",)))
    (tmp_path / "index.json").write_text(json.dumps([7]))
    with pytest.raises(UserError, match="must be a JSON list"):
        read_data(load_config(path, ("data.validation_index=index.json",)))
