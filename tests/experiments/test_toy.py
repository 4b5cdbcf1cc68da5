"""A new algorithm, gate and reward are one file and one registry line each, or named by where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.experiments.algorithms import ALGORITHMS
from selfedit.experiments.config import load_config
from selfedit.experiments.runs.records import RunRecords
from selfedit.experiments.start import evaluate, train
from selfedit.gates import GATES
from selfedit.progress import QuietProgress
from selfedit.rewards import REWARDS
from tests.experiments.data import write_config
from tests.experiments.toy import Advantage, Majority, Never


def run(folder: Path, name: str = "one", **changes: Any) -> RunRecords:
    path = folder / "runs" / name
    train(load_config(write_config(folder, **changes)), path, "cpu", QuietProgress())
    return RunRecords(path)


def test_each_is_one_registry_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS, Advantage.name, Advantage)
    monkeypatch.setitem(GATES, Never.name, Never)
    monkeypatch.setitem(REWARDS, Majority.name, Majority)
    # So much that adapters answer differently, and so do not all agree.
    lively = {"rank": 4, "alpha": 8, "epochs": 8, "learning_rate": 0.5}
    changes: dict[str, Any] = {
        "outer__algorithm": "advantage",
        "outer__gates": "never",
        "outer__reward": "majority",
        "inner": lively,
    }
    records = run(tmp_path, **changes)
    rounds = records.rounds()
    for record in rounds:
        shares = [rollout.reward for rollout in record.rollouts]
        assert all(reward is not None and 0 < reward <= 1 for reward in shares)
        assert not any(rollout.kept for rollout in record.rollouts)  # It learns from all of them.
        if record.policy is not None:
            assert record.policy.parent == "base"  # What was refused is no parent.
            assert record.note == record.policy.refused
            assert record.note == f"the policy of round {record.number} was compared on 2 and 2 answers to the base"
    trained = [record.policy for record in rounds if record.policy is not None]
    assert trained, "no round had edits of different rewards: choose another seed"
    assert records.policies.newest == "base"
    # Asked by `eval`, too, a refused policy is one that a round ended with.
    config = load_config(write_config(tmp_path, **changes))
    evaluate(config, tmp_path / "runs" / "eval", tmp_path / "runs" / "one", "cpu", QuietProgress())
    compared = RunRecords(tmp_path / "runs" / "eval")
    assert compared.trials(f"policy-r{trained[0].round}")


def test_a_users_own_are_named_by_where_they_are(tmp_path: Path) -> None:
    here = "tests.experiments.toy"
    records = run(
        tmp_path,
        outer__rounds=1,
        outer__algorithm=f"{here}:Advantage",
        outer__gates=[f"{here}:Never", "better"],
        outer__reward=f"{here}:Majority",
    )
    (record,) = records.rounds()
    assert record.policy is None or record.policy.refused


def test_the_better_gate_lets_a_better_policy_through_and_refuses_others(tmp_path: Path) -> None:
    """A policy trained at a rate of nothing writes the same edits: it is not better, and the next lies beside it."""
    still = {"rank": 4, "alpha": 8, "epochs": 1, "learning_rate": 1e-30}
    records = run(tmp_path, outer__gates="better", outer__training=still)
    for record in records.rounds():
        assert record.policy is not None
        assert record.policy.parent == "base"
        assert record.policy.refused == f"the policy of round {record.number} does not answer better than the base"
    lively = {"rank": 4, "alpha": 8, "epochs": 3, "learning_rate": 0.01}
    records = run(tmp_path, "lively", outer__gates="better", outer__training=lively, outer__rounds=1)
    (record,) = records.rounds()
    base, after = (
        sum(trial.after.gold_logprob for trial in records.trials(key) if trial.after is not None)
        for key in ("v0", "v1")
    )
    assert record.policy is not None
    assert bool(record.policy.refused) == (after <= base)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outer__algorithm": "rest-me"}, r"Unknown algorithm 'rest-me'\. Did you mean 'rest-em'"),
        ({"outer__gates": ["beter"]}, r"Unknown gate 'beter'\. Did you mean 'better'"),
        ({"outer__algorithm": "json:loads"}, r"'json:loads' is not a subclass of selfedit\.experiments\.algorithms"),
        ({"outer__gates": ["tests.experiments.toy:Majority"]}, r"is not a subclass of selfedit\.gates\.base\.Gate"),
    ],
)
def test_what_is_none_of_them_is_said_before_the_model_is_loaded(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(tmp_path, **change)
    assert not (tmp_path / "runs").exists()


def test_gates_need_passages_to_look_at(tmp_path: Path) -> None:
    data = {"train": "train.jsonl", "contexts": 2}
    with pytest.raises(UserError, match=r"outer\.gates looks at the validation passages"):
        run(tmp_path, outer__gates="better", data=data)
