"""The outer loop as a user runs it: resumed, refused, and the same to the bit."""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.experiments.config import load_config
from selfedit.experiments.runs.folder import RunFolder
from selfedit.experiments.runs.listing import entries, find
from selfedit.experiments.runs.records import RunRecords
from selfedit.experiments.start import train
from selfedit.progress import Bar, LineProgress, QuietProgress
from selfedit.store import Journal
from selfedit.types import Answer, ModelRef, Task
from tests.experiments.data import write_config, write_passages

KILLS = 5


def run(folder: Path, name: str = "one", **changes: Any) -> RunRecords:
    path = folder / "runs" / name
    train(load_config(write_config(folder, **changes)), path, "cpu", QuietProgress())
    return RunRecords(path)


def outcome(records: RunRecords) -> list[Any]:
    """Every adapter's hash and scores, and the policies'."""
    keys = ("passage", "v0", "v1", "v2", "r1", "r2")
    trials = [(t.edit_id, t.seed, t.adapter_sha256, t.losses, t.after) for key in keys for t in records.trials(key)]
    return [trials, [(r.policy_sha256, r.policy_losses, r.rollouts) for r in records.rounds()]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunRecords:
    return run(tmp_path_factory.mktemp("finished"))


def test_a_run_records_all_that_happened(finished: RunRecords) -> None:
    assert finished.facts.status == "finished"
    assert set(finished.facts.hashes) == {"train", "validation"}
    assert finished.facts.software["torch"]
    assert len(finished.trials("r1")) == 2 * 2 * 2
    assert len({trial.adapter_sha256 for trial in finished.trials("r1")}) == 8
    assert all(trial.after is not None and len(trial.after.answers) == 2 for trial in finished.trials("r1"))
    assert len(finished.trials("v2")) == 2
    rounds = finished.rounds()
    assert [sum(entry.kept for entry in record.rollouts) for record in rounds] == [2, 2]
    assert rounds[0].policy_sha256 != rounds[1].policy_sha256


def test_the_best_edit_of_each_passage_is_chosen(finished: RunRecords) -> None:
    for record in finished.rounds():
        for task in finished.tasks(f"r{record.number}"):
            own = [entry for entry in record.rollouts if entry.edit.task_id == task.id]
            best = max(own, key=lambda entry: entry.reward or float("-inf"))
            assert [entry.edit.id for entry in own if entry.kept] == [best.edit.id]


def test_the_policy_changes_what_is_written(finished: RunRecords) -> None:
    before, after = ({edit.task_id: edit for edit in finished.edits(key)} for key in ("v0", "v1"))
    assert before.keys() == after.keys()
    assert any(before[name].logprobs != after[name].logprobs for name in before)


DRIVER = """
import os, sys
import selfedit.cli
import torch, transformers, peft  # What takes long is not what is to be killed.
print("ready", flush=True)
while line := sys.stdin.readline():
    pid = os.fork()
    if pid == 0:
        os.dup2(2, 1)
        sys.argv = ["selfedit", *line.split()]
        selfedit.cli.main()
    print(pid, flush=True)
    sys.stdin.readline()
    _, status = os.waitpid(pid, 0)
    print("ended", status, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_killed_and_resumed_it_ends_in_the_same_adapters(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (tmp_path / "stderr").open("w") as errors:
        driver = subprocess.Popen(
            [sys.executable, "-c", DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )
    assert driver.stdin is not None and driver.stdout is not None
    assert driver.stdout.readline() == "ready\n"
    config = write_config(tmp_path)

    def start(name: str) -> int:
        assert driver.stdin is not None and driver.stdout is not None
        driver.stdin.write(f"train {config} --out {tmp_path / 'runs' / name} --quiet\n")
        driver.stdin.flush()
        return int(driver.stdout.readline())

    def ended() -> int:
        assert driver.stdin is not None and driver.stdout is not None
        driver.stdin.write("wait\n")
        driver.stdin.flush()
        return int(driver.stdout.readline().split()[1])

    begun = time.monotonic()
    start("whole")
    assert ended() == 0, (tmp_path / "stderr").read_text()[-2000:]
    whole = time.monotonic() - begun
    rng = random.Random(0)
    # A run that came to its end before it was killed is followed by another one, from its beginning.
    names, kills = ["killed0"], 0
    while kills < KILLS:
        pid = start(names[-1])
        time.sleep(rng.uniform(0.2, 0.7) * whole)
        os.kill(pid, signal.SIGKILL)  # It is not reaped before `ended`, so its id is still its own.
        if ended() == 0:
            names.append(f"killed{len(names)}")
        else:
            kills += 1
    start(names[-1])
    assert ended() == 0, (tmp_path / "stderr").read_text()[-2000:]
    driver.stdin.close()
    driver.wait()
    driver.stdout.close()
    expected = outcome(RunRecords(tmp_path / "runs" / "whole"))
    for name in names:
        records = RunRecords(tmp_path / "runs" / name)
        assert records.facts.status == "finished"
        assert outcome(records) == expected


def test_a_finished_run_is_left_alone_and_another_configuration_refused(tmp_path: Path) -> None:
    small: dict[str, Any] = {"outer__rounds": 1, "outer__edits": 1, "outer__training_seeds": 1}
    first = run(tmp_path, **small)
    files = {path: path.read_bytes() for path in (tmp_path / "runs" / "one").rglob("*") if path.is_file()}
    run(tmp_path, **small)
    run(tmp_path, engine__slots=5, **small)
    with pytest.raises(UserError, match=r"these differ: inner\.epochs, seed\. Give --out"):
        run(tmp_path, seed=3, inner={"rank": 4, "alpha": 8, "epochs": 2, "learning_rate": 0.01}, **small)
    config = write_config(tmp_path, **small)
    write_passages(tmp_path / "train.jsonl", 7)
    with pytest.raises(UserError, match=r"data\.train is not what it was"):
        train(load_config(config), tmp_path / "runs" / "one", "cpu", QuietProgress())
    assert {path: path.read_bytes() for path in files} == files
    assert [entry.id for entry in entries(tmp_path / "runs")] == ["one"]
    assert find(tmp_path / "runs", "one") == tmp_path / "runs" / "one"
    (tmp_path / "runs" / "foreign").mkdir()
    (tmp_path / "runs" / "foreign" / "run.json").write_text("[]")
    assert [entry.id for entry in entries(tmp_path / "runs")] == ["one"]
    with pytest.raises(UserError, match=r"config\.yaml is a file; a run needs a folder"):
        train(load_config(write_config(tmp_path, **small)), config, "cpu", QuietProgress())
    with pytest.raises(UserError, match=r"no run 'won'.*one"):
        find(tmp_path / "runs", "won")
    assert first.facts.status == "finished"


class Interrupted(QuietProgress):
    """The user presses Ctrl-C when a piece of work whose label begins so is about to start."""

    def __init__(self, label: str) -> None:
        self._label = label

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        if label.startswith(self._label):
            raise KeyboardInterrupt
        with super().bar(label, total, unit) as bar:
            yield bar


def test_the_best_reward_so_far_is_shown(tmp_path: Path) -> None:
    lines = io.StringIO()
    folder = train(
        load_config(write_config(tmp_path, outer__rounds=1)), tmp_path / "runs" / "a", "cpu", LineProgress(lines)
    )
    shown = re.findall(r"Round 1, adapters (\d/8): best reward so far (-?[\d.]+)", lines.getvalue())
    assert [count for count, _ in shown] == ["4/8", "8/8"]
    (record,) = RunRecords(folder.path).rounds()
    rewards = [reward for entry in record.rollouts for reward in entry.rewards]
    assert len(rewards) == 8
    assert float(shown[-1][1]) == round(max(rewards), 3)
    assert float(shown[0][1]) <= float(shown[1][1])


REWARD = """
def worth(task, answers):
    return {value}
"""


def test_a_reward_that_fails_loses_nothing_that_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing_reward.py").write_text(REWARD.format(value="1 / sum(answer.verdict.correct for answer in [])"))
    monkeypatch.syspath_prepend(str(tmp_path))
    changes: dict[str, Any] = {"outer__rounds": 1, "outer__reward": "failing_reward:worth"}
    with pytest.raises(UserError, match=r"The reward 'failing_reward:worth' gives no number .*ZeroDivisionError"):
        run(tmp_path, **changes)
    trained = RunRecords(tmp_path / "runs" / "one").trials("r1")
    assert len(trained) == 4  # One chunk.
    import failing_reward  # type: ignore[import-not-found]

    monkeypatch.setattr(failing_reward, "worth", lambda task, answers: float("nan"))
    with pytest.raises(UserError, match="it is nan"):
        run(tmp_path, **changes)
    monkeypatch.setattr(failing_reward, "worth", lambda task, answers: 1.0)
    records = run(tmp_path, **changes)
    assert records.trials("r1")[:4] == trained
    assert [entry.reward for entry in records.rounds()[0].rollouts] == [1.0] * 4


def test_a_round_that_ended_is_not_ranked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fickle_reward.py").write_text(REWARD.format(value="answers[0].gold_logprob"))
    monkeypatch.syspath_prepend(str(tmp_path))
    changes = {"outer__reward": "fickle_reward:worth"}
    put = Journal.put

    def interrupted(self: Journal, kind: str, key: str, value: object) -> None:
        put(self, kind, key, value)
        if (kind, key) == ("round", "r1"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journal, "put", interrupted)
        run(tmp_path, **changes)
    (before,) = RunRecords(tmp_path / "runs" / "one").rounds()
    import fickle_reward  # type: ignore[import-not-found]

    monkeypatch.setattr(fickle_reward, "worth", lambda task, answers: -answers[0].gold_logprob)
    after = run(tmp_path, **changes).rounds()
    assert after[0] == before
    assert all(entry.reward > 0 for entry in after[1].rollouts if entry.reward is not None)


def test_a_run_is_not_gone_on_with_by_another_grader(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path))
    model = ModelRef("tiny", "0")
    RunFolder.open(tmp_path / "runs" / "one", "train", config, {}, model, {}, "judge a")
    with pytest.raises(UserError, match="graded by judge a, not judge b"):
        RunFolder.open(tmp_path / "runs" / "one", "train", config, {}, model, {}, "judge b")


def test_only_the_conditions_that_are_asked_for_are_tried(tmp_path: Path) -> None:
    conditions = {"max_answer_tokens": 4, "conditions": ["base", "policy"]}
    records = run(tmp_path, outer__rounds=1, evaluation=conditions)
    assert records.trials("v1")
    assert not records.edits("v0")
    assert not records.trials("passage")


@pytest.mark.parametrize("slots", [1, 5])
def test_a_run_goes_on_with_other_slots(tmp_path: Path, slots: int) -> None:
    """Chunks of adapters are recorded in the size that they were trained in."""
    small: dict[str, Any] = {"outer__rounds": 1}
    path = tmp_path / "runs" / "one"
    with pytest.raises(KeyboardInterrupt):
        train(load_config(write_config(tmp_path, **small)), path, "cpu", Interrupted("Round 1, adapters 8"))
    first = RunRecords(path).trials("r1")
    records = run(tmp_path, engine__slots=slots, **small)
    trials = records.trials("r1")
    assert [(t.edit_id, t.seed) for t in trials if t.failure] == []
    assert len({(t.edit_id, t.seed) for t in trials}) == len(trials) == 8
    assert len(first) == 4
    assert all(trial in trials for trial in first)


def test_a_policy_that_diverges_ends_the_run_with_one_line(tmp_path: Path) -> None:
    wild = {"rank": 4, "alpha": 8, "epochs": 3, "learning_rate": 1e30}
    with pytest.raises(UserError, match=r"finetuning the policy: training diverged .* Lower outer\.training\."):
        run(tmp_path, outer__training=wild, outer__rounds=1, outer__training_seeds=1)
    assert not (tmp_path / "runs" / "one" / "policy-r1").exists()


def test_another_seed_trains_other_adapters(tmp_path: Path) -> None:
    small: dict[str, Any] = {"outer__rounds": 0, "policy": {"format": "none"}}
    hashes = []
    for seed in (1, 2):
        records = run(tmp_path, name=f"seed{seed}", seed=seed, **small)
        hashes.append({trial.adapter_sha256 for trial in records.trials("passage")})
    assert not hashes[0] & hashes[1]


def test_no_edit_better_than_the_base_leaves_the_policy(tmp_path: Path) -> None:
    # A tiny random model answers nothing rightly whatever it learns, so no edit gains by accuracy or, at so small a
    # learning rate, changes anything at all.
    tiny = {"rank": 4, "alpha": 8, "epochs": 1, "learning_rate": 1e-30}
    records = run(tmp_path, inner=tiny, outer__must_beat_base=True, outer__rounds=1)
    (record,) = records.rounds()
    assert record.policy_sha256 == ""
    assert "stays as it was" in record.note


def test_unusable_edits_are_recorded_and_never_wrong_answers(tmp_path: Path) -> None:
    # A random model writes no pair of question and answer.
    with pytest.raises(UserError, match="Round 1 has no usable self-edit: nothing in the edit could be used"):
        run(tmp_path, policy={"format": "self-qa", "max_edit_tokens": 24}, outer__rounds=1)
    records = RunRecords(tmp_path / "runs" / "one")
    assert all(trial.after is None and trial.failure for trial in records.trials("v0"))


def shortest(task: Task, answers: tuple[Answer, ...]) -> float:
    """A reward of a user's own."""
    return -float(sum(len(answer.text) for answer in answers))


def test_a_reward_of_ones_own_and_a_cascade(tmp_path: Path) -> None:
    records = run(
        tmp_path,
        outer__reward="tests.experiments.test_train:shortest",
        outer__rounds=1,
        outer__screen="rubric",
        outer__finalists=1,
    )
    (record,) = records.rounds()
    assert len(record.rollouts) == 2  # One finalist a passage.
    for entry in record.rollouts:
        lengths = [
            sum(len(answer.text) for answer in trial.after.answers)
            for trial in records.trials("r1")
            if trial.edit_id == entry.edit.id and trial.after is not None
        ]
        assert entry.reward == -sum(lengths) / len(lengths)


def test_the_report_is_written(finished: RunRecords, tmp_path: Path) -> None:
    records = run(tmp_path)
    folder = tmp_path / "runs" / "one"
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "not distinguishable" in html
    assert "<svg" in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "own edits, after round 2" in (folder / "report.md").read_text(encoding="utf-8")
    assert (folder / "report.csv").read_text(encoding="utf-8").startswith("condition,")
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    # Another folder with the same model and passages ends in the same adapters.
    assert records.facts.model.fingerprint == finished.facts.model.fingerprint
    assert outcome(records) == outcome(finished)
