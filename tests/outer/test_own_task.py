"""The worked example in docs/experiments.md, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.outer.config import load_config
from selfedit.outer.records import RunRecords
from selfedit.outer.start import train
from selfedit.progress import QuietProgress
from tests.outer.data import write_passages
from tests.tiny import make_tiny_model

PAGE = Path(__file__).parent.parent.parent / "docs" / "experiments.md"


def write_example(folder: Path) -> Path:
    """The page's files, with a tiny model, and passages."""
    blocks = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for name, text in blocks:
        (folder / name).write_text(text, encoding="utf-8")
    assert [name for name, _ in blocks] == ["my_task.py", "my_task.yaml"]
    write_passages(folder / "passages.jsonl", 2)
    make_tiny_model(folder / "model")
    return folder / "my_task.yaml"


def test_the_worked_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write_example(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "runs" / "own"
    train(load_config(config, (f"model={tmp_path / 'model'}",)), path, "cpu", QuietProgress())
    records = RunRecords(path)
    (record,) = records.rounds()
    # A random model now and then writes an edit that ends before it has said anything.
    usable = {trial.edit_id: trial.after for trial in records.trials("r1") if trial.after is not None}
    assert usable
    for entry in record.ranked:
        after = usable.get(entry.edit.id)
        if after is None:
            assert entry.reward is None
            continue
        answers = after.answers
        right = sum(answer.verdict.correct for answer in answers) / len(answers)
        words = sum(len(answer.text.split()) for answer in answers) / len(answers)
        assert entry.reward == pytest.approx(right - 0.01 * words)


def test_a_domain_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = write_example(tmp_path)
    with pytest.raises(UserError, match=r"Unknown domain 'knowlege'\. .*knowledge"):
        load_config(config, ("domain=knowlege",))
    with pytest.raises(UserError, match="Cannot find the domain 'json:Nothing'"):
        options = (f"model={tmp_path / 'model'}", "domain=json:Nothing", "outer.reward=gain")
        train(load_config(config, options), tmp_path / "runs" / "own", "cpu", QuietProgress())
