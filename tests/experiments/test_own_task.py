"""The worked example in docs/experiments.md, as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.experiments.config import load_config
from selfedit.experiments.runs.records import RunRecords
from selfedit.experiments.start import evaluate, train
from selfedit.progress import QuietProgress
from tests.experiments.data import write_passages
from tests.tiny import make_tiny_model

PAGE = Path(__file__).parent.parent.parent / "docs" / "experiments.md"


def write_example(folder: Path) -> Path:
    """The page's files, with a tiny model, and passages."""
    blocks = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for name, text in blocks:
        (folder / name).write_text(text, encoding="utf-8")
    assert [name for name, _ in blocks] == ["my_edits.yaml", "my_task.py", "my_task.yaml"]
    passages = write_passages(folder / "passages.jsonl", 6).read_text(encoding="utf-8").splitlines()
    rows = [{"context": json.loads(line)["context"], "self_edit": "Odo built a bridge."} for line in passages]
    (folder / "edits.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
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
    for entry in record.rollouts:
        after = usable.get(entry.edit.id)
        if after is None:
            assert entry.reward is None
            continue
        answers = after.answers
        right = sum(answer.verdict.correct for answer in answers) / len(answers)
        words = sum(len(answer.text.split()) for answer in answers) / len(answers)
        assert entry.reward == pytest.approx(right - 0.01 * words)


def test_the_example_with_edits_of_your_own_runs(tmp_path: Path) -> None:
    write_example(tmp_path)
    quick = (f"model={tmp_path / 'model'}", "inner.epochs=1", "evaluation.max_answer_tokens=4")
    config = load_config(tmp_path / "my_edits.yaml", quick)
    evaluate(config, tmp_path / "runs" / "edits", None, "cpu", QuietProgress())
    page = (tmp_path / "runs" / "edits" / "report.md").read_text(encoding="utf-8")
    for heading in ("Result", "Many passages at once", "Sequential edits"):
        assert f"## {heading}\n" in page
    assert page.count("| edits of mine |") == 8  # Two measures; one by one against two references.


def test_a_domain_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = write_example(tmp_path)
    with pytest.raises(UserError, match=r"Unknown domain 'knowlege'\. .*knowledge"):
        load_config(config, ("domain=knowlege",))
    with pytest.raises(UserError, match="Cannot find the domain 'json:Nothing'"):
        options = (f"model={tmp_path / 'model'}", "domain=json:Nothing", "outer.reward=gain")
        train(load_config(config, options), tmp_path / "runs" / "own", "cpu", QuietProgress())
