"""`audit`, `rules`, `pending`, `approve` and `reject` as commands, and that nothing hostile gets to a terminal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from selfedit.store import Store
from selfedit.types import DocumentRef, Flag
from tests.cli.run import Cli
from tests.store.make import make_adapter, make_version

HOSTILE = "../../x\x1b]0;owned\x07\x1b[2J\n; rm -rf ~\u202e\x9b31m <script>alert(1)</script>"


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """A store whose only version waits, with names and answers that would harm a terminal."""
    store = Store.open(tmp_path / "store", create=True, actor="ben")
    store.set_rules(b"approval: always\n", "rules.yaml")
    version = make_version(base="smollm2-135m")
    task = replace(version.tasks[0], id="aaaaaaaaaaaa.p0", title=HOSTILE, context=f"Boats {HOSTILE} float.")
    after = replace(version.after[0], answers=tuple(replace(a, text=HOSTILE) for a in version.after[0].answers))
    probes = tuple(replace(task.probes[0], id=f"p{i}", question=HOSTILE) for i in range(3))
    hostile = replace(
        version,
        documents=(DocumentRef(HOSTILE, HOSTILE, "a" * 64),),
        tasks=(replace(task, probes=probes),),
        rollouts=tuple(replace(r, edit=replace(r.edit, task_id=task.id, text=HOSTILE)) for r in version.rollouts),
        after=(after,),
        flags=(Flag("invisible", HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE),),
    )
    store.commit(hostile, make_adapter())
    return store.path


def harmless(text: str) -> bool:
    return not set(text) & set("\x1b\x07\x9b\u202e\r") and "\\x1b" in text


def test_nothing_hostile_gets_to_a_terminal_or_a_log(cli: Cli, waiting: Path) -> None:
    for command in (["pending"], ["pending", "p1"], ["show", "p1"], ["audit"], ["audit", "trace", "p1"]):
        outcome = cli.inside(*command, "--store", waiting)
        assert outcome.code == 0 and (harmless(outcome.out) or command == ["audit"]), outcome
        assert not set(outcome.out) & set("\x1b\x07\x9b\u202e"), command
        as_json = cli.inside(*command, "--store", waiting, "--json")
        assert as_json.json and not set(as_json.out) & set("\x1b\x07\x9b\u202e"), command
    assert cli.inside("pending", "p1", "--store", waiting, "--json").json["flags"][0]["why"] == HOSTILE
    for file in (waiting / "audit.jsonl", waiting / "audit-head.json", waiting / "pending" / "p1" / "README.md"):
        assert not set(file.read_text()) & set("\x1b\x07\x9b\u202e"), file
    assert not list(waiting.parent.parent.glob("x*"))


def test_from_waiting_to_active(cli: Cli, waiting: Path) -> None:
    assert [row["id"] for row in cli.inside("pending", "--store", waiting, "--json").json["pending"]] == ["p1"]
    shown = cli.inside("pending", "p1", "--store", waiting).out
    assert "selfedit approve p1 --adapter" in shown and "! invisible" in shown and "+Boats" in shown
    outcome = cli.inside("--actor", "ana", "approve", "p1", "--store", waiting)
    assert outcome.out == "p1 is version v1 now, and the active one.\n", outcome.err
    assert "approved   by ana" in cli.inside("show", "v1", "--store", waiting).out
    rows = cli.inside("audit", "--store", waiting, "--actor", "ana", "--json").json["entries"]
    assert [row["action"] for row in rows] == ["approved", "committed"]
    assert cli.inside("audit", "--store", waiting, "--subject", "p1", "--action", "held", "--json").json["count"] == 1
    assert cli.refused("approve", "p1", store=waiting).startswith("Nothing waits as 'p1'")
    found = cli.inside("audit", "trace", "Boats", "--store", waiting, "--json").json["found"]
    assert found[0]["version"] == "v1" and "approved" in {entry["action"] for entry in found[0]["entries"]}


def test_reject(cli: Cli, waiting: Path) -> None:
    assert "--why" in cli("reject", "p1", "--store", waiting).err
    outcome = cli.inside("reject", "p1", "--why", "not ours", "--store", waiting, "--json")
    assert outcome.json["rejected"] == "r1" and outcome.json["why"].endswith(": not ours")


def test_verify_says_what_and_where(cli: Cli, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "audit.key"
    assert cli.inside("audit", "key", key, "--json").json["public"] == f"{key}.pub"
    good = cli.inside("audit", "verify", "--store", store, "--json").json
    assert good == {"entries": 3, "whole": True, "findings": []}
    assert "Only --head FILE" in cli.inside("audit", "verify", "--store", store).out
    unsigned = cli.inside("audit", "verify", "--store", store, "--key", f"{key}.pub")
    assert unsigned.code == 1 and "bears no good signature" in unsigned.out
    monkeypatch.setenv("SELFEDIT_AUDIT_KEY_FILE", str(key))
    cli.inside("use", "v1", "--store", store)
    heads = tmp_path / "heads.jsonl"
    heads.write_text(cli.inside("audit", "head", "--store", store, "--json").out)
    assert json.loads(heads.read_text())["count"] == 4
    vouched = ("audit", "verify", "--store", store, "--key", f"{key}.pub", "--head", heads)
    assert cli.inside(*vouched).out == "4 entries, each bound to the one before; the store is as they say.\n"
    log = store / "audit.jsonl"
    log.write_text(log.read_text().replace("v2", "v7"))
    bad = cli.inside(*vouched, "--json")
    assert bad.code == 1 and json.loads(bad.out)["findings"][0]["entry"] == 3
    log.unlink()
    assert cli.inside(*vouched).code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["audit", "--action", "comitted"], "There is no action 'comitted'. Did you mean 'committed'?"),
        (["audit", "--since", "yesterday"], "--since yesterday is no time"),
        (["audit", "verify", "--head", "none"], "Cannot read none"),
        (["audit", "verify", "--head", "bridge.md"], "bridge.md holds no head"),
        (["audit", "verify", "--key", "bridge.md"], "bridge.md is no public Ed25519 key in PEM"),
        (["audit", "trace", "v9", "--version", "v9"], "There is no version 'v9'"),
        (["audit", "trace", " "], "Give a version, or the words of an answer."),
        (["pending", "p1"], "Nothing waits as 'p1'"),
        (["reject", "v1", "--why", "x"], "Nothing waits as 'v1'"),
        (["rules", "set", "bridge.md"], "bridge.md does not hold 'key: value' lines."),
        (["rules", "check", "none.yaml"], "There is no file none.yaml."),
    ],
)
def test_mistakes(cli: Cli, store: Path, document: Path, arguments: list[str], said: str) -> None:
    outcome = cli.inside(*arguments, "--store", store)
    assert outcome.code == 2 and outcome.err.startswith(f"error: {said}") and outcome.err.count("\n") == 1, outcome


def test_rules(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("updates_per_day: 2\napproval: flagged\n")
    store = tmp_path / "new"
    assert cli.inside("rules", "check", "rules.yaml", "--store", store).code == 0 and not store.exists()
    assert cli.inside("rules", "set", "rules.yaml", "--store", store, "--json").json["updates_per_day"] == 2
    assert "updates_per_day" in cli.inside("rules", "--store", store).out
    (entry,) = cli.inside("audit", "--store", store, "--action", "setting changed", "--json").json["entries"]
    assert entry["details"]["now"] == {"updates_per_day": 2, "approval": "flagged"} and len(entry["rules"]) == 64
