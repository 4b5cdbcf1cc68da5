"""Each round's figures, where dashboards find them."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.experiments.config import load_config
from selfedit.experiments.runs.records import RunRecords
from selfedit.experiments.start import train
from selfedit.progress import QuietProgress
from tests.experiments.data import write_config


def test_tensorboard_shows_what_the_run_recorded(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    config = write_config(tmp_path, outer__rounds=1, engine__tracking="tensorboard")
    train(load_config(config), tmp_path / "run", "cpu", QuietProgress())
    events: Any = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    shown = {name: {event.step: event.value for event in events.Scalars(name)} for name in events.Tags()["scalars"]}
    (record,) = RunRecords(tmp_path / "run").rounds()
    rewards = [entry.reward for entry in record.rollouts if entry.reward is not None]
    assert shown["reward/best"] == {1: pytest.approx(max(rewards))}
    assert shown["reward/mean"] == {1: pytest.approx(fmean(rewards))}
    assert shown["policy/loss"] == {1: pytest.approx(record.policy_losses[-1])}
    assert set(shown["validation/gold_logprob"]) == {0, 1}


def test_a_package_that_is_missing_is_said_before_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = write_config(tmp_path, engine__tracking="trackio")
    with pytest.raises(UserError, match=r"pip install 'selfedit\[trackio\]'"):
        train(load_config(config), tmp_path / "run", "cpu", QuietProgress())
    assert not (tmp_path / "run").exists()
