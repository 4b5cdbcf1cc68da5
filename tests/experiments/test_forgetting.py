"""`train` against forgetting: a reward that counts it, gates that look at general questions, memories of sequences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.experiments.config import load_config
from selfedit.experiments.runs.records import RunRecords
from selfedit.experiments.start import evaluate, train
from selfedit.progress import QuietProgress
from selfedit.rewards import make_reward
from selfedit.types import Answer, Evaluation, Group, Rollout, SelfEdit, Task, Trial, Verdict
from tests.experiments.data import write_config

LOUD = {"rank": 4, "alpha": 8, "epochs": 4, "learning_rate": 0.1}


def run(folder: Path, **changes: Any) -> RunRecords:
    path = folder / "runs" / "one"
    train(load_config(write_config(folder, **changes)), path, "cpu", QuietProgress())
    return RunRecords(path)


def evaluation(logprob: float) -> Evaluation:
    return Evaluation("t", "match", (Answer("q", "x", Verdict(False, ""), logprob),))


def test_what_an_edit_makes_the_model_forget_is_taken_from_its_reward() -> None:
    edit = SelfEdit("e", "t", "rewrite", "", "", 0)
    trial = Trial("e", "t", 0, after=evaluation(-1.0), general_change=0.5)
    trials = (trial, replace(trial, general_change=-0.75), replace(trial, general_change=None))
    group = Group(Task("t", "t", "t"), evaluation(-3.0), (Rollout(edit, trials),))
    # A gain on general questions counts nothing, a loss counts in full.
    assert make_reward("retaining").rewards(group) == [(2.0, 1.25, 2.0)]


def test_adapters_are_asked_general_questions_for_it(tmp_path: Path) -> None:
    records = run(tmp_path, inner=LOUD, outer__reward="retaining", outer__rounds=1)
    trials = records.trials("r1")
    changes = [trial.general_change for trial in trials]
    assert trials and all(change is not None and change != 0 for change in changes)
    assert len(set(changes)) > 1  # Each adapter has its own.
    (record,) = records.rounds()
    for rollout in record.rollouts:
        assert rollout.reward is not None


def test_a_policy_that_forgets_is_refused(tmp_path: Path) -> None:
    """The logits of a tiny random model are small, and so is what it can diverge by: hence the margin."""
    changes: dict[str, Any] = {
        "outer__gates": ["general", "divergence"],
        "outer__margins": {"divergence": 1e-9},
        "outer__must_beat_base": False,
        "outer__training": LOUD,
    }
    records = run(tmp_path, **changes)
    policies = [record.policy for record in records.rounds() if record.policy is not None]
    assert policies
    assert all("changes how plain texts go on" in policy.refused for policy in policies)
    assert records.policies.newest == "base"


@pytest.mark.parametrize("memory", ["routed", "joint", "replay"])
def test_sequences_are_learnt_by_any_memory(tmp_path: Path, memory: str) -> None:
    changes: dict[str, Any] = {
        "inner": LOUD,
        "evaluation__regimes": "sequential",
        "evaluation__conditions": ["base", "passage"],
        "evaluation__sequence": 2,
        "evaluation__sequences": 1,
        "evaluation__memory": memory,
    }
    folder = tmp_path / "runs" / "eval"
    evaluate(load_config(write_config(tmp_path, **changes)), folder, None, "cpu", QuietProgress())
    records = RunRecords(folder)
    rows = [records.get("sequence", f"sequence0-passage-{place}", tuple[Evaluation, ...]) for place in range(2)]
    assert [len(row or ()) for row in rows] == [1, 2]
    assert rows[0] is not None and rows[1] is not None
    if memory == "routed":  # The first passage's adapter is what it was, and so are its answers.
        assert rows[0][0] == rows[1][0]
    assert len(list((folder / "sequences").iterdir())) == 2


def test_all_weights_need_the_memory_that_merges(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "inner": LOUD | {"full": True},
        "evaluation__regimes": "sequential",
        "evaluation__memory": "joint",
    }
    with pytest.raises(UserError, match=r"evaluation\.memory: 'joint' works with adapters"):
        load_config(write_config(tmp_path, **changes))
