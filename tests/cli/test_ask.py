"""Several questions at once, files of them, and a prompt that stays open."""

from __future__ import annotations

import io
import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from selfedit.files.hashing import update_sha256
from selfedit.models.fingerprint import fingerprint
from selfedit.multilora.model import layer_shapes, resolve_targets
from selfedit.session import Asked, Session
from selfedit.store import Store
from selfedit.types import ModelRef
from tests.cli.run import Cli
from tests.store.make import make_adapter, make_version


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, so that a random model's words do not hang on what else is asked with them."""
    monkeypatch.setattr(import_module("selfedit.models.load"), "default_dtype", lambda place: torch.float32)


@pytest.fixture(scope="module")
def learnt(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two versions of the tiny model, which answer differently."""
    from dataclasses import replace

    from selfedit.models import load

    base = load(str(tiny))
    shapes = layer_shapes(base.model, resolve_targets(base.model, "all-linear"))
    store = Store.open(tmp_path_factory.mktemp("learnt") / "store", create=True)
    for seed in range(2):
        version = replace(make_version(), base=ModelRef(str(tiny), fingerprint(tiny)))
        store.commit(version, make_adapter(shapes, seed=seed))
    assert len({update_sha256(store.adapter(version)) for version in store.versions()}) == 2
    return store.path


def test_several_are_answered_as_each_alone(cli: Cli, learnt: Path) -> None:
    questions = ["Do boats float?", "Who?", "When was it?"]
    together = cli.inside("ask", *questions, "--store", learnt, "--compare", "--json").json["answers"]
    assert [row["question"] for row in together] == questions
    for row in together:
        alone = cli.inside("ask", row["question"], "--store", learnt, "--json").json
        assert (alone["answer"], alone["version"]) == (row["answer"], "v2")
        assert cli.inside("ask", row["question"], "--store", learnt, "--base", "--json").json == {
            "answer": row["base_answer"],
            "version": None,
            "source": None,
            "probability": 1.0,
        }
    assert "3 questions" not in cli.inside("ask", *questions, "--store", learnt).out  # No gold answers, no totals.


def test_versions_are_asked_side_by_side(learnt: Path) -> None:
    session = Session(None, learnt, "cpu")
    asked = [Asked("Do boats float?", version) for version in ("v1", "v2", None)] + [
        Asked("Do boats float?", base=True)
    ]
    first, second, newest, base = session.ask_all(asked)
    assert [reply.version for reply in (first, second, newest, base)] == ["v1", "v2", "v2", None]
    assert second == newest
    assert [session.ask("Do boats float?", "v1"), session.ask("Do boats float?", base=True)] == [first, base]


def test_a_file_of_questions_is_graded(cli: Cli, learnt: Path, tmp_path: Path) -> None:
    answer = cli.inside("ask", "Do boats float?", "--topic", "Notes", "--store", learnt, "--json").json["answer"]
    rows = [{"question": "Do boats float?", "answer": answer or "-", "title": "notes"}]
    rows.append({"question": "Who was it?", "answer": "nobody ever says this"})
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = cli.inside("ask", "--questions", "q.jsonl", "--store", learnt, "--json").json
    assert [row["gold"] for row in found["answers"]] == [answer or "-", "nobody ever says this"]
    assert found["answers"][0]["answer"] == answer
    assert found["accuracy"] == sum(row["correct"] for row in found["answers"]) / 2
    table = cli.inside("ask", "--questions", "q.jsonl", "--store", learnt, "--compare").out
    assert "2 questions" in table and "%" in table
    both = cli.inside("ask", "Who?", "--questions", "q.jsonl", "--store", learnt)
    assert (both.code, both.err) == (2, "error: Give questions in quotes, or a file of them with --questions.\n")
    missing = cli.inside("ask", "--questions", "Q.jsonl", "--store", learnt)
    assert missing.code == 2 and "Did you mean 'q.jsonl'?" in missing.err


def test_a_topic_that_is_no_title_names_the_nearest(cli: Cli, learnt: Path) -> None:
    outcome = cli.inside("ask", "Do they?", "--topic", "Note", "--store", learnt)
    assert outcome.code == 0
    assert "Nothing that was learnt is titled 'Note'. Did you mean 'Notes" in outcome.err
    spelt = [cli.inside("ask", "Do they?", "--topic", topic, "--store", learnt) for topic in ("notes", "Notes")]
    assert spelt[0].out == spelt[1].out
    assert "titled" not in spelt[0].err


def test_chat(cli: Cli, learnt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chat(text: str, *more: str) -> list[str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        outcome = cli.inside("chat", "--store", learnt, *more)
        assert outcome.code == 0, outcome.err
        return [*outcome.out.splitlines(), *(f"! {line}" for line in outcome.err.splitlines() if "error" in line)]

    lines = "Do boats float?\n/version v1\nDo boats float?\n/base\nDo boats float?\n/quit\nnot asked\n"
    answers = [json.loads(line) for line in chat(lines, "--json")]
    assert [row["version"] for row in answers] == ["v2", "v1", None]
    alone = [cli.inside("ask", "Do boats float?", *who, "--store", learnt, "--json").json["answer"] for who in WHO]
    assert [row["answer"] for row in answers] == alone
    (compared,) = (json.loads(line) for line in chat("Do boats float?\n", "--json", "--compare"))
    assert (compared["base_answer"], compared["answer"]) == (alone[2], alone[0])
    said = chat("/hlep\n/version v9\n/help\n")
    assert "/topic TITLE" in said[0]
    assert "! error: There is no /hlep." in said[1] and "no version 'v9'" in said[2]


WHO: tuple[tuple[str, ...], ...] = ((), ("--version", "v1"), ("--base",))
