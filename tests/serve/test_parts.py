"""The scheduler, who answers, the key file and the log, by themselves."""

from __future__ import annotations

import json
import logging
import queue
from pathlib import Path
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.generate.base import Request
from selfedit.generate.continuous import ContinuousBatch
from selfedit.generate.row import Row
from selfedit.memory.recall import Recalled
from selfedit.serve.job import Candidate, Ended, Event, Failed, Job
from selfedit.serve.keys import Holder, Role, read_keys
from selfedit.serve.logs import JsonLines
from selfedit.serve.scheduler import Scheduler
from tests.engine import BARE, VOCAB, load_tiny
from tests.tiny import make_tiny_tokenizer


def job(max_tokens: int, events: queue.Queue[Event]) -> Job:
    return Job([Candidate(Recalled(BARE, ""), Request((5, 6, 7), BARE, max_tokens))], False, events.put)


def test_work_between_two_steps_has_the_bare_model_and_answers_go_on(tmp_path: Path) -> None:
    model: Any = load_tiny(tmp_path)
    layers = {name: type(module) for name, module in model.named_modules()}
    scheduler = Scheduler(ContinuousBatch(model, make_tiny_tokenizer(vocab=VOCAB), frozenset()))
    events: queue.Queue[Event] = queue.Queue()
    scheduler.submit(job(60, events))
    scheduler.start()
    bare = scheduler.between(lambda lent: {name: type(module) for name, module in lent.named_modules()})
    assert bare.result(20) == layers
    failing = scheduler.between(lambda _: 1 // 0)
    assert isinstance(failing.exception(20), ZeroDivisionError)
    ended = events.get(timeout=20)
    assert isinstance(ended, Ended) and len(ended.completion.tokens) == 60
    scheduler.submit(job(3000, events))
    scheduler.stop()
    assert isinstance(events.get(timeout=20), Failed), "who is still waiting is told"
    assert {name: type(module) for name, module in model.named_modules()} == layers


def test_a_failing_step_fails_those_in_it_and_no_other(tmp_path: Path) -> None:
    model: Any = load_tiny(tmp_path)
    batch = ContinuousBatch(model, make_tiny_tokenizer(vocab=VOCAB), frozenset())
    scheduler = Scheduler(batch)
    events: queue.Queue[Event] = queue.Queue()
    wrong = Request((VOCAB + 5,), BARE, 3)  # A token that the model has not.
    scheduler.submit(Job([Candidate(Recalled(BARE, ""), wrong)], False, events.put))
    scheduler.start()
    assert isinstance(events.get(timeout=20), Failed)
    scheduler.submit(job(3, events))
    assert isinstance(events.get(timeout=20), Ended)
    scheduler.stop()


def test_a_candidate_is_dropped_as_soon_as_it_has_lost() -> None:
    request = Request((1,), BARE, 9)
    heard: list[Event] = []
    each = [Candidate(Recalled(BARE, "", score=score), request) for score in (1.0, 0.0, 0.0)]
    contest = Job(each, True, heard.append)
    first, second, third = rows = [Row(request) for _ in each]
    contest.entered(rows)

    def write(row: Row, logprob: float, ends: bool = False) -> list[Row]:
        row.tokens.append(3)
        row.logprobs.append(logprob)
        if ends:
            row.advance(make_tiny_tokenizer(vocab=VOCAB), frozenset({3}))
        contest.progressed(row, "x")
        losers = contest.losers()
        contest.drop(losers)
        contest.settle()
        return losers

    assert write(first, -1.0) == write(second, -0.5) == write(third, -3.0) == []
    assert write(first, -0.1, ends=True) == [third], "1 - 4 is more than it can still come to; the second may win"
    assert heard == []
    assert write(second, -0.6) == [], "0 - 2.4 is ahead of 1 - 4"
    assert write(second, -0.76) == [second]
    assert [type(event).__name__ for event in heard] == ["Piece", "Ended"]
    assert isinstance(heard[1], Ended) and heard[1].taken is each[0].who


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("ask 0123456789abcdef\n", 0o640, "Others can read or write the key file"),
        ("", 0o600, "has no keys"),
        ("# only this\n", 0o600, "has no keys"),
        ("ask\n", 0o600, "line 1: write a role and a key"),
        ("# a\nguess 0123456789abcdef\n", 0o600, "line 2: there is no such role. Known: approve, ask, teach."),
        ("ask 0123456789abcdef a\x07b\n", 0o600, "line 1: what follows the key is the name of its holder"),
        ("ask short\n", 0o600, "line 1: a key has at least 16"),
        ("ask 0123456789abcdef\nteach 0123456789abcdef\n", 0o600, "has a key twice"),
    ],
)
def test_a_key_file_that_is_not_good(tmp_path: Path, text: str, mode: int, said: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(UserError) as error:
        read_keys(path)
    assert said in str(error.value) and "0123456789abcdef" not in str(error.value)


def test_a_key_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# who\nask 0123456789abcdef\n\napprove fedcba9876543210 Ana Belk\n")
    path.chmod(0o600)
    keys = read_keys(path)
    found = [keys.role(key) for key in ("0123456789abcdef", "fedcba9876543210", "x")]
    assert found == [Role.ASK, Role.APPROVE, None]
    holders = [keys.holder(key) for key in ("0123456789abcdef", "fedcba9876543210")]
    assert holders[1] == Holder("Ana Belk", Role.APPROVE)
    assert holders[0] is not None and holders[0].name.startswith("ask-") and "0123456789" not in holders[0].name
    with pytest.raises(UserError, match="There is no key file"):
        read_keys(tmp_path / "none")


def test_a_line_of_the_log_holds_no_text_of_an_error() -> None:
    try:
        raise ValueError("the user's own words")
    except ValueError as error:
        fields = {"fields": {"id": "a"}}
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), (ValueError, error, error.__traceback__))
        record.__dict__.update(fields)
    line = JsonLines().format(record)
    assert "own words" not in line
    said = json.loads(line)
    assert (said["event"], said["error"], said["id"]) == ("failed", "ValueError", "a")
    assert any("test_parts" in place for place in said["at"])
