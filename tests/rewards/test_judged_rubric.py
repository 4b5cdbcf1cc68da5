"""The rubric that a language model scores, against a real endpoint on this machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.experiments.config import load_config
from selfedit.experiments.runs.records import RunRecords
from selfedit.experiments.start import check, train
from selfedit.judge import Endpoint
from selfedit.models.wording import Wording
from selfedit.progress import QuietProgress
from selfedit.rewards import make_reward
from selfedit.rewards.judged_rubric import JudgedRubricReward, marks
from selfedit.types import Evaluation, Group, Rollout, SelfEdit, Task, Trial
from tests.experiments.data import write_config
from tests.graders.server import Judge, Reply, serving

TASK = Task("t", "The Bridge", "It is a mile long.", ())


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFEDIT_HOME", str(tmp_path / "home"))
    for name in ("URL", "MODEL", "KEY"):
        monkeypatch.delenv(f"SELFEDIT_JUDGE_{name}", raising=False)


def by_lines(prompt: str, before: int = 0) -> Reply:
    """More lines, better marks."""
    notes = re.search(r"Notes:\n(.*?)\n\nMark", prompt, re.DOTALL)
    assert notes is not None
    mark = min(5, notes[1].count("\n") + 1)
    return 200, f"{mark} {mark} {mark} 5"


def group(*texts: str, failure: str | None = None) -> Group:
    edits = [SelfEdit(f"t.e{place}", "t", "rewrite", "", text, 0) for place, text in enumerate(texts)]
    trials = [(Trial(edit.id, "t", 0, failure=failure),) if failure else () for edit in edits]
    return Group(TASK, Evaluation("t", "match", ()), tuple(map(Rollout, edits, trials)))


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ("4 3 5 1", "4 3 5 1"),
        ("Length: 4/5, diversity: 3/5\nQuality: 5 / 5\nCorrectness: 1", "4 3 5 1"),
        ("4 3 5", None),
        ("4 3 5 6", None),
        ("4 3 5 12", None),
        ("4 3 5 -1", None),
        ("4.5 3 5 1", None),
        ("4 3 5 1, in all 13", None),
        ("They are good.", None),
    ],
)
def test_marks_are_read_or_asked_for_again(reply: str, read: str | None) -> None:
    assert marks(reply) == read
    assert read is None or marks(read) == read


def test_the_sum_of_the_marks_is_the_reward() -> None:
    with serving(Judge(by_lines)) as judge:
        reward = JudgedRubricReward(Endpoint(judge.url, "m"))
        assert reward.rewards(group("a", "a\nb\nc", "a", " ")) == [(8.0,), (14.0,), (8.0,), (0.0,)]
        assert len(judge.prompts) == 2 and all("The Bridge\nIt is a mile long." in prompt for prompt in judge.prompts)
        assert reward.rewards(group("a", failure="useless")) == [(0.0,)]
        again = JudgedRubricReward(Endpoint(judge.url, "m"))
        assert again.rewards(group("a\nb\nc")) == [(14.0,)] and len(judge.prompts) == 2
        assert again.no_update(group("a")) is None and again.identity == "judged-rubric m"


def test_nonsense_is_no_reward() -> None:
    with serving(Judge(lambda prompt, before: (200, "good" if before < 2 else "2 2 2 2"))) as judge:
        assert JudgedRubricReward(Endpoint(judge.url, "m")).rewards(group("a")) == [(8.0,)]
    refused = pytest.raises(UserError, match=r"does not give four marks from 1 to 5, but 'It is good\.'")
    with serving(Judge(lambda prompt, before: (200, "It is good."))) as judge, refused:
        JudgedRubricReward(Endpoint(judge.url, "m")).rewards(group("b"))


def test_own_words() -> None:
    reward = make_reward("judged-rubric", Wording(scoring="{passage} | {edit}"))
    assert reward.shown(TASK, "a") == "It is a mile long. | a"
    assert make_reward("judged-rubric", Wording()).shown(TASK, "a").startswith("A language model will be trained")


def test_a_round_learns_from_what_the_judge_likes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No adapter is trained for it, another judge does not go on with the run, and --check shows what is asked."""
    path = write_config(tmp_path, outer={"reward": "judged-rubric", "rounds": 1, "edits": 2, "top_k": 1})
    config, out = load_config(path), tmp_path / "run"
    with pytest.raises(UserError, match="The reward 'judged-rubric' needs SELFEDIT_JUDGE_URL"):
        train(config, out, "cpu", QuietProgress())
    with serving(Judge(lambda prompt, before: (200, f"{1 + len(prompt) % 5} 1 1 1"))) as judge:
        monkeypatch.setenv("SELFEDIT_JUDGE_URL", judge.url)
        monkeypatch.setenv("SELFEDIT_JUDGE_MODEL", "m")
        plan = check("train", config, out, None, QuietProgress())
        assert "(the self-edit)" in plan.prompts["scoring a self-edit"] and not judge.prompts
        train(config, out, "cpu", QuietProgress())
        assert judge.prompts
        records = RunRecords(out)
        (record,) = records.rounds()
        assert records.trials("r1") == [] or all(trial.after is None for trial in records.trials("r1"))
        for rollout in record.rollouts:
            if rollout.reward is not None:
                scored = next(p for p in judge.prompts if f"Notes:\n{rollout.edit.text.strip()}\n" in p)
                assert rollout.reward == 4 + len(scored) % 5
        monkeypatch.setenv("SELFEDIT_JUDGE_MODEL", "other")
        with pytest.raises(UserError, match=r"outer\.reward is not what it was"):
            train(config, out, "cpu", QuietProgress())
