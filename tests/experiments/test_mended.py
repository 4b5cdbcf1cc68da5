"""Defects of release 0.1, each as a test that failed then."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

import selfedit
from selfedit.errors import UserError
from selfedit.experiments.config import load_config
from selfedit.experiments.runs.folder import RunFolder
from selfedit.experiments.runs.records import RunRecords
from selfedit.experiments.start import train
from selfedit.files.journal import Journal
from selfedit.progress import QuietProgress
from selfedit.types import ModelRef
from tests.experiments.data import write_config


def run(folder: Path, name: str = "one", **changes: Any) -> RunRecords:
    path = folder / "runs" / name
    train(load_config(write_config(folder, **changes)), path, "cpu", QuietProgress())
    return RunRecords(path)


def test_a_version_of_full_weights_is_refused() -> None:
    for name in ("final_training", "edit_training"):
        with pytest.raises(UserError, match=rf"{name}\.full: a version is an adapter"):
            settings: dict[str, Any] = {name: {"full": True}}
            selfedit.load().learn(["none.md"], **settings)


@pytest.mark.parametrize(("key", "other"), [("inner_loop", "peft"), ("generator", "vllm")])
def test_a_run_is_not_gone_on_with_by_another_engine(tmp_path: Path, key: str, other: str) -> None:
    config = load_config(write_config(tmp_path))
    arguments: Any = ({}, ModelRef("tiny", "0"), {}, "match")
    RunFolder.open(tmp_path / "run", "train", config, *arguments)
    changed = config.model_copy(update={"engine": config.engine.model_copy(update={key: other})})
    with pytest.raises(UserError, match=rf"these differ: engine\.{key}\."):
        RunFolder.open(tmp_path / "run", "train", changed, *arguments)
    free = config.model_copy(update={"engine": config.engine.model_copy(update={"slots": 7, "token_budget": 64})})
    RunFolder.open(tmp_path / "run", "train", free, *arguments)


def test_killed_while_it_writes_edits_it_goes_on_with_the_next_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small: dict[str, Any] = {"outer__rounds": 1, "data__contexts": 4}
    whole = run(tmp_path, "whole", **small)
    put = Journal.put
    written: list[str] = []

    def interrupted(self: Journal, kind: str, key: str, value: object) -> None:
        put(self, kind, key, value)
        if kind == "edits" and key.startswith("r1/"):
            written.append(key)
            if len(written) == 2:
                raise KeyboardInterrupt

    def watched(self: Journal, kind: str, key: str, value: object) -> None:
        written.append(f"{kind} {key}")
        put(self, kind, key, value)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journal, "put", interrupted)
        run(tmp_path, **small)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "put", watched)
        again = run(tmp_path, **small)
    assert sorted(key for key in written[2:] if key.startswith("edits r1/")) == ["edits r1/t2", "edits r1/t3"]
    # The last bits of a logit depend on what else is in its batch, on some processors.
    plain = [[replace(edit, logprobs=()) for edit in records.edits("r1")] for records in (again, whole)]
    assert plain[0] == plain[1]
    assert [trial.adapter_sha256 for trial in again.trials("r1")] == [t.adapter_sha256 for t in whole.trials("r1")]


def test_a_policy_that_was_changed_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = Journal.put

    def interrupted(self: Journal, kind: str, key: str, value: object) -> None:
        put(self, kind, key, value)
        if (kind, key) == ("round", "r1"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journal, "put", interrupted)
        run(tmp_path)
    other = run(tmp_path, "other", seed=2, outer__rounds=1)
    assert other.rounds()[0].policy_sha256
    folder = tmp_path / "runs" / "one" / "policy-r1"
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "runs" / "other" / "policy-r1", folder)
    with pytest.raises(UserError, match=r"policy-r1 was changed or damaged: its weights are not those"):
        run(tmp_path)


def test_a_reward_that_needs_no_training_trains_nothing(tmp_path: Path) -> None:
    """And it is the reward that decides, where it used to be the log-probability alone."""
    conditions = {"max_answer_tokens": 4, "conditions": ["base"]}
    records = run(
        tmp_path,
        outer__rounds=1,
        outer__edits=3,
        outer__reward="rubric",
        outer__must_beat_base=True,
        evaluation=conditions,
    )
    (record,) = records.rounds()
    assert [trial for trial in records.trials("r1") if trial.adapter_sha256] == []
    for task in records.tasks("r1"):
        rollouts = [rollout for rollout in record.rollouts if rollout.edit.task_id == task.id]
        best = max(rollouts, key=lambda rollout: rollout.reward or 0.0)
        assert [rollout.edit.id for rollout in rollouts if rollout.kept] == [best.edit.id]


def test_edits_before_and_after_a_round_are_sampled_with_the_same_seeds(tmp_path: Path) -> None:
    records = run(tmp_path, outer__rounds=1)
    before, after = ([edit.seed for edit in records.edits(key)] for key in ("v0", "v1"))
    assert before == after
    assert before != [edit.seed for edit in records.edits("r1")]


def test_warmup_decay_and_clipping_are_settings(tmp_path: Path) -> None:
    small = {"rank": 4, "alpha": 8, "epochs": 1, "learning_rate": 0.01}
    conditions = {"max_answer_tokens": 4, "conditions": ["passage"]}
    hashes = set()
    for name, more in (("plain", {}), ("warm", {"warmup_steps": 1}), ("clip", {"max_grad_norm": 1e-6})):
        records = run(tmp_path, name, outer__rounds=0, inner=small | more, evaluation=conditions)
        hashes.add(tuple(trial.adapter_sha256 for trial in records.trials("passage")))
    assert len(hashes) == 3


def test_a_run_goes_on_in_the_precision_that_it_began_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is chosen by measuring, which may come out otherwise the next time."""
    load = import_module("selfedit.models.load")
    monkeypatch.setattr(load, "default_dtype", lambda place: torch.float32)
    small: dict[str, Any] = {"outer__rounds": 1}
    whole = run(tmp_path, "whole", **small)
    assert whole.facts.precision == "float32"
    put = Journal.put

    def interrupted(self: Journal, kind: str, key: str, value: object) -> None:
        put(self, kind, key, value)
        if (kind, key) == ("trials", "r1.0"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journal, "put", interrupted)
        run(tmp_path, **small)
    monkeypatch.setattr(load, "default_dtype", lambda place: torch.bfloat16)
    again = run(tmp_path, **small)
    assert [t.adapter_sha256 for t in again.trials("r1")] == [t.adapter_sha256 for t in whole.trials("r1")]
    assert run(tmp_path, "other", **small).facts.precision == "bfloat16"
