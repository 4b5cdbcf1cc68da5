"""The judge, against a real endpoint on this machine that is slow, fails, and talks nonsense."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.graders.judge import JudgeGrader
from selfedit.judge import Endpoint
from selfedit.types import Probe
from tests.graders.server import Judge, Reply, serving

KEY = "sk-secret-of-the-test"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFEDIT_HOME", str(tmp_path / "home"))
    for name in ("URL", "MODEL", "KEY"):
        monkeypatch.delenv(f"SELFEDIT_JUDGE_{name}", raising=False)


def by_containment(prompt: str, before: int = 0) -> Reply:
    found = re.search(r"Correct answer: (.*)\nStudent's answer: (.*)", prompt)
    assert found is not None
    return 200, "Yes." if found[1] in found[2] else "no"


def grader(judge: Judge, concurrency: int = 8, attempts: int = 4, model: str = "m") -> JudgeGrader:
    return JudgeGrader(Endpoint(judge.url, model, KEY, attempts=attempts, pause=0.01, timeout=5), concurrency)


def items(count: int) -> list[tuple[Probe, str]]:
    return [(Probe(f"q{n}", f"What is {n}?", (f"x{n}",)), f"it is x{n if n % 3 else 'none'}") for n in range(count)]


def expected(count: int) -> list[bool]:
    return [bool(n % 3) for n in range(count)]


def test_protocol() -> None:
    with serving(Judge(by_containment)) as judge:
        verdicts = grader(judge).grade_all([*items(4), (Probe("e", "What?", ("x",)), " ")])
    assert [v.correct for v in verdicts] == [*expected(4), False]
    assert [v.reason for v in verdicts[:2]] == ["m says no", "m says yes"]
    assert len(judge.prompts) == 4, "an empty answer is not worth a question"
    assert all(body["temperature"] == 0 and body["model"] == "m" for body in judge.bodies)
    assert set(judge.keys) == {f"Bearer {KEY}"}
    assert "What is 1?" in "".join(judge.prompts)


def test_cache_is_by_model_and_prompt() -> None:
    with serving(Judge(by_containment)) as judge:
        first = grader(judge).grade_all(items(6) + items(6))
        assert len(judge.prompts) == 6
        assert grader(judge).grade_all(items(6)) == first[:6] == first[6:]
        assert len(judge.prompts) == 6
        grader(judge, model="other").grade_all(items(6))
        assert len(judge.prompts) == 12


def test_concurrency() -> None:
    with serving(Judge(by_containment, delay=0.1)) as judge:
        start = time.monotonic()
        verdicts = grader(judge, concurrency=4).grade_all(items(12))
        seconds = time.monotonic() - start
    assert [v.correct for v in verdicts] == expected(12)
    assert 2 <= judge.most_busy <= 4 and seconds < 1.0


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_failures_are_retried(status: int) -> None:
    with serving(Judge(lambda prompt, before: by_containment(prompt) if before >= 2 else (status, ""))) as judge:
        assert [v.correct for v in grader(judge).grade_all(items(5))] == expected(5)
    assert len(judge.prompts) == 15


def test_retry_after_is_honoured() -> None:
    with serving(Judge(lambda prompt, before: by_containment(prompt) if before else (429, "0.4"))) as judge:
        grader(judge).grade_all(items(1))
    assert judge.times[1] - judge.times[0] >= 0.4


def test_nonsense_is_asked_again_and_never_scored() -> None:
    rule = Judge(lambda prompt, before: by_containment(prompt) if before else (200, "Let me think: yes"))
    with serving(rule) as judge:
        assert [v.correct for v in grader(judge).grade_all(items(3))] == expected(3)
    said = "neither yes nor no, but 'Nobody knows"
    with serving(Judge(lambda prompt, before: (200, "Nobody knows"))) as judge, pytest.raises(UserError, match=said):
        grader(judge, model="other").grade_all(items(3))


def test_failure_raises_and_keeps_what_was_graded() -> None:
    down = [True]

    def rule(prompt: str, before: int) -> Reply:
        return (500, "") if down[0] and "What is 5?" in prompt else by_containment(prompt)

    with serving(Judge(rule)) as judge:
        with pytest.raises(UserError, match=r"gives no answer: HTTP 500\. What was graded is kept") as raised:
            grader(judge, concurrency=1).grade_all(items(8))
        assert KEY not in str(raised.value)
        asked = len(judge.prompts)
        down[0] = False
        assert [v.correct for v in grader(judge, concurrency=1).grade_all(items(8))] == expected(8)
        assert len(judge.prompts) == asked + 3, "only 5, 6 and 7 were left to ask"


def test_refusal_is_not_retried() -> None:
    with serving(Judge(lambda prompt, before: (401, ""))) as judge, pytest.raises(UserError) as raised:
        grader(judge, concurrency=1).grade_all(items(3))
    assert "HTTP 401" in str(raised.value) and "SELFEDIT_JUDGE_KEY" in str(raised.value)
    assert KEY not in str(raised.value) and len(judge.prompts) == 1


def test_nobody_there_and_too_slow() -> None:
    nobody = JudgeGrader(Endpoint("http://127.0.0.1:9/v1", "m", attempts=2, pause=0.01))
    with pytest.raises(UserError, match=r"The judge at http://127\.0\.0\.1:9/v1 gives no answer: Connection refused"):
        nobody.grade_all(items(3))
    with serving(Judge(by_containment, delay=0.5)) as judge, pytest.raises(UserError, match="no answer in time"):
        JudgeGrader(Endpoint(judge.url, "m", attempts=2, pause=0.01, timeout=0.1)).grade_all(items(1))


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="needs SELFEDIT_JUDGE_URL: export SELFEDIT_JUDGE_URL="):
        JudgeGrader()
    monkeypatch.setenv("SELFEDIT_JUDGE_URL", "localhost")
    with pytest.raises(UserError, match="needs SELFEDIT_JUDGE_MODEL"):
        JudgeGrader()
    monkeypatch.setenv("SELFEDIT_JUDGE_MODEL", "m")
    with pytest.raises(UserError, match="must begin with http"):
        JudgeGrader()
    with serving(Judge(by_containment)) as judge:
        monkeypatch.setenv("SELFEDIT_JUDGE_URL", judge.url)
        monkeypatch.setenv("SELFEDIT_JUDGE_KEY", KEY)
        assert JudgeGrader().grade(*items(2)[1]).correct
    assert KEY not in repr(Endpoint("http://x", "m", KEY))
