"""`use`, `rollback`, `diff`, `forget`, `consolidate` and the tree of versions, as a user types them."""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import torch

from selfedit.learn import config
from selfedit.models import load
from selfedit.settings import TrainingSettings
from selfedit.store import Store
from tests.cli.run import Cli, error_of
from tests.lineage import FACTS, NEVER, TRAINING, Library
from tests.store.make import contents


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, and with the training of `tests.lineage`, for which these commands have no options."""
    monkeypatch.setattr(import_module("selfedit.models.load"), "default_dtype", lambda place: torch.float32)
    training = TrainingSettings.model_validate(TRAINING)
    monkeypatch.setattr(config, "_SMALL", training)
    monkeypatch.setattr(config, "_LARGE", training)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """A folder with a store: v1, v2 on top of it, v3 on v1 again, and r1, which was rejected. Tests copy it."""
    folder = tmp_path_factory.mktemp("lineage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("selfedit.models.load"), "default_dtype", lambda place: torch.float32)
        library = Library(folder, tiny, load(str(tiny), device="cpu"))
    session = library.session()
    for name in ("lamp", "bird"):
        library.learnt(session, name)
    library.learnt(session, "port", parent="v1")
    assert library.learn(session, "kite", gates=(NEVER,)).rejected is not None
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "store", tmp_path / "store"))


def active(store: Path) -> str | None:
    return Store.open(store).active


def test_use(cli: Cli, store: Path) -> None:
    said = cli("use", "v2", "--store", store)
    assert (said.code, said.out, said.err) == (0, "v2 is the active version.\n", "") and not said.imported_torch
    assert active(store) == "v2"
    assert cli.inside("use", "v1", "--store", store, "--json").json == {"active": "v1"}
    assert cli.inside("use", "base", "--store", store).out == "The base answers; no version is active.\n"
    assert cli.inside("use", "base", "--store", store, "--json").json == {"active": "base"}
    assert active(store) is None


def test_rollback(cli: Cli, store: Path) -> None:
    assert cli.inside("rollback", "--store", store).out == "v1 is the active version.\n"  # v3 builds on v1.
    assert cli.inside("rollback", "--store", store, "--json").json == {"active": "base"}
    assert cli.inside("use", "v2", "--store", store).code == 0
    assert cli.inside("rollback", "2", "--store", store).out == "The base answers; no version is active.\n"


def test_the_tree_of_versions(cli: Cli, store: Path) -> None:
    lines = cli("versions", "--store", store).out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["v1", lines[1].split()[1]], ["└", "v2"], ["v3", "←"]]
    found = cli.inside("versions", "--store", store, "--json").json
    assert found["active"] == "v3"
    rows = [(row["id"], row["parent"], row["active"], row["memory"], row["action"]) for row in found["versions"]]
    assert rows == [
        ("v1", None, False, "routed", "learn"),
        ("v2", "v1", False, "routed", "learn"),
        ("v3", "v1", True, "routed", "learn"),
    ]
    cli.inside("use", "base", "--store", store)
    text = cli.inside("versions", "--store", store).out
    assert "←" not in text and text.endswith("No version is active: the base answers.\n")


def test_rejected_versions(cli: Cli, store: Path) -> None:
    text = cli("versions", "--rejected", "--store", store).out
    assert "r1" in text and "Hobden" in text and "v1" not in text and "'selfedit show ID' says why." in text
    (row,) = cli.inside("versions", "--rejected", "--store", store, "--json").json["versions"]
    assert (row["id"], row["parent"], row["rejected"], row["active"]) == ("r1", "v3", "nothing is let through", False)
    shown = cli.inside("show", "r1", "--store", store)
    assert "nothing is let through" in shown.out and "✗ never: 0 of 0" in shown.out
    assert cli.inside("show", "r1", "--store", store, "--json").json["rejected"] == "nothing is let through"
    none = cli.inside("versions", "--rejected", "--store", _emptied(store))
    assert none.out == f"Nothing was rejected in {store}.\n"


def _emptied(store: Path) -> Path:
    shutil.rmtree(store / "rejected")
    return store


def test_diff(cli: Cli, store: Path) -> None:
    quick = cli("diff", "v2", "v3", "--no-ask", "--store", store)
    assert quick.code == 0 and not quick.imported_torch
    assert quick.out.splitlines() == [
        f"+ Pigeonpost: {FACTS['port'].text} (come)",
        f"- Veskara: {FACTS['bird'].text} (gone)",
        "0 answers of 1 about what both know differ.",
    ]
    assert cli.inside("diff", "v2", "v3", "--store", store).out == quick.out  # The same adapter answers.
    assert cli.inside("diff", "base", "v2", "--no-ask", "--store", store, "--json").json == {
        "come": [f"{FACTS[name].title}: {FACTS[name].text}" for name in ("lamp", "bird")],
        "gone": [],
        "anew": [],
        "questions": 0,
        "changed": [],
    }
    assert cli.inside("diff", "v2", "base", "--no-ask", "--store", store, "--json").json["come"] == []
    rejected = cli.inside("diff", "v3", "r1", "--no-ask", "--store", store, "--json").json
    assert rejected["come"] == [f"Hobden: {FACTS['kite'].text}"]


def test_diff_of_answers(cli: Cli, store: Path) -> None:
    assert cli.inside("use", "v2", "--store", store).code == 0
    assert "v4" in cli.inside("consolidate", "--store", store, "--quiet").out
    found = cli.inside("diff", "v2", "v4", "--store", store, "--quiet", "--json").json
    assert (found["come"], found["gone"], found["questions"]) == ([], [], 2)
    assert found["anew"] == [f"{FACTS[name].title}: {FACTS[name].text}" for name in ("lamp", "bird")]
    for row in found["changed"]:
        assert row["v2"]["answer"] != row["v4"]["answer"]
        assert row["question"] in (FACTS["lamp"].question, FACTS["bird"].question)
    text = cli.inside("diff", "v2", "v4", "--store", store, "--quiet").out
    assert f"~ Marrowfen: {FACTS['lamp'].text} (trained anew)" in text
    assert f"{len(found['changed'])} answers of 2 about what both know differ." in text


def test_forget(cli: Cli, store: Path) -> None:
    outcome = cli.inside("forget", "lamp.md", "--store", store, "--quiet")
    assert outcome.code == 0, outcome.err
    last = outcome.out.splitlines()[-1]
    assert last == (f"Committed version v4 to {store}: 1 passages of 1 documents in 1 adapters. It is the active one.")
    assert active(store) == "v4"
    found = cli.inside("forget", "Pigeonpost", "--store", store, "--quiet", "--json").json
    assert (found["version"], found["rejected"], found["reason"], found["passages"]) == ("v5", None, "", 0)
    shown = cli.inside("show", "--store", store)
    assert shown.code == 0 and "forget on top of v4" in shown.out and "0 passages of 0 documents" in shown.out
    assert "forget: Pigeonpost" in cli.inside("versions", "--store", store).out
    answered = cli.inside("ask", FACTS["port"].question, "--store", store, "--json").json
    assert (answered["version"], answered["source"]) == ("v5", None)
    known = cli.inside("show", "v3", "--store", store, "--json").json["knowledge"]["learnt"]
    assert [item["task"]["title"] for item in known] == ["Marrowfen", "Pigeonpost"]


def test_consolidate(cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = cli.folder / "keep.jsonl"
    keep.write_text(json.dumps({"question": "What is two and two?", "answer": "four"}) + "\n")
    outcome = cli.inside("consolidate", "--keep", keep, "--store", store, "--quiet")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert "keep: as many of 1 question right as before" in outcome.out
    assert lines[0].startswith("Gates") and " retained: " in outcome.out and " general: " in outcome.out
    assert lines[-1] == (
        f"Committed version v4 to {store}: 2 passages of 2 documents in 1 adapters. It is the active one."
    )
    assert cli.inside("show", "--store", store, "--json").json["knowledge"]["memory"] == "joint"
    cli.inside("use", "v3", "--store", store)
    found = cli.inside("consolidate", "--memory", "replay", "--store", store, "--quiet", "--json").json
    assert (found["version"], found["passages"]) == ("v5", 2)
    assert {gate["gate"] for gate in found["gates"]} == {"retained", "general", "divergence"}
    assert all(gate["passed"] for gate in found["gates"])


def test_consolidating_that_is_rejected(cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from selfedit import session

    monkeypatch.setattr(
        session, "learn_config", lambda **settings: config.learn_config(**settings | {"gates": (NEVER,)})
    )
    said = cli.inside("consolidate", "--store", store, "--quiet").out
    assert "✗ never: 0 of 0" in said
    assert "No version was committed: nothing is let through. It is kept aside as r2." in said
    found = cli.inside("consolidate", "--store", store, "--quiet", "--json").json
    assert (found["version"], found["rejected"], found["reason"]) == (None, "r3", "nothing is let through")
    assert active(store) == "v3"


def test_ask_says_who_answers(cli: Cli, store: Path) -> None:
    about = cli.inside("ask", FACTS["lamp"].question, "--store", store)
    assert about.err.splitlines()[-1] == "(v3, by what it learnt from 'Marrowfen')"
    assert "(v3" not in about.out
    other = cli.inside("ask", "What is the capital of Japan?", "--store", store)
    assert other.err.splitlines()[-1] == "(v3 learnt nothing about this: the base answers)"
    found = cli.inside("ask", FACTS["lamp"].question, "--store", store, "--json")
    assert found.json["source"] == "Marrowfen" and 0.5 < found.json["probability"] <= 1
    assert "Marrowfen" not in found.err
    found = cli.inside("ask", "What is the capital of Japan?", "--store", store, "--json")
    assert found.json["source"] is None and found.json["probability"] < 0.5
    older = cli.inside("ask", FACTS["bird"].question, "--version", "v2", "--store", store)
    assert older.err.splitlines()[-1] == "(v2, by what it learnt from 'Veskara')"


def test_learn_on_top(cli: Cli, store: Path, made: Path, tiny: Path) -> None:
    known = cli.inside("learn", made / "lamp.md", "--store", store, "--quiet")
    assert known.code == 0
    assert known.out == (
        "No version was committed: nothing is new: all documents are known as they are; --again learns them anew.\n"
    )
    questions = made / "kite.jsonl"
    given = ("learn", made / "kite.md", "--questions", questions, "--format", "none", "--store", store, "--quiet")
    outcome = cli.inside(*given)
    # A random model does not get any answer right, and that is what the first gate asks for.
    assert "No version was committed: the update is not shown to be better than the version before" in outcome.out
    assert "What was trained is kept aside as r2." in outcome.out
    found = cli.inside(*given, "--from", "v1", "--json").json
    assert (found["version"], found["rejected"], found["already_known"]) == (None, "r3", [])
    assert {"improved", "retained", "general", "divergence"} == {gate["gate"] for gate in found["gates"]}
    assert [each.parent for each in Store.open(store).heads("r")] == ["v3", "v3", "v1"]
    both = cli.inside(*given, "--from", "v1", "--fresh")
    assert (both.code, both.err) == (2, "error: --from and --fresh exclude each other: leave one out.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("use", "v33"), "There is no version 'v33' in store. Did you mean 'v3'?"),
        (("use", "r1"), "r1 was rejected, and is never active. 'selfedit show r1' says why."),
        (("rollback", "3"), "v3 lies 2 steps above the base: roll back by 1 to 2."),
        (("rollback", "0"), "v3 lies 2 steps above the base: roll back by 1 to 2."),
        (("diff", "v1", "v9", "--no-ask"), "There is no version 'v9' in store."),
        (("diff", "bse", "v1"), "There is no version 'bse' in store."),
        (("forget", "lampe.md"), "No document 'lampe.md' is known. Did you mean 'lamp.md'?"),
        (("forget", "bird.md"), "No document 'bird.md' is known."),  # It is v2 that knows it.
        (("consolidate", "--memory", "joined"), "Unknown memory 'joined'. Did you mean 'joint'?"),
        (("consolidate", "--keep", "none.jsonl"), "There is no file none.jsonl."),
        (("consolidate", "--memory", "routed"), "Version v3 is in the memory 'routed' already."),
        (("show", "v9"), "There is no version 'v9' in store."),
        (("learn", "doc.md", "--from", "v9"), "There is no version 'v9' in store."),
        (("learn", "doc.md", "--memory", "routd"), "Unknown memory 'routd'. Did you mean 'routed'?"),
        (("learn", "doc.md", "--keep", "none.jsonl"), "There is no file none.jsonl."),
    ],
)
def test_mistakes(cli: Cli, store: Path, arguments: tuple[str, ...], said: str) -> None:
    (cli.folder / "doc.md").write_text("# A title\n\nA text.\n")
    before = contents(store)
    assert error_of(cli.inside(*arguments, "--store", "store", "--quiet", "--json")).startswith(said)
    plain = cli.inside(*arguments, "--store", "store", "--quiet")
    assert (plain.code, plain.out, plain.err.count("\n")) == (2, "", 1)
    after = contents(store)
    assert {name: sha256 for name, sha256 in after.items() if not name.startswith("work/")} == before


@pytest.mark.parametrize("arguments", [("rollback",), ("forget", "lamp.md"), ("consolidate",), ("show",)])
def test_where_no_version_is_active(cli: Cli, store: Path, arguments: tuple[str, ...]) -> None:
    cli.inside("use", "base", "--store", store)
    line = cli.refused(*arguments, store=store)
    assert line.startswith(f"No version is active in {store}")


@pytest.mark.parametrize(
    "arguments", [("use", "v1"), ("rollback",), ("diff", "v1", "v2"), ("forget", "a.md"), ("consolidate",)]
)
def test_where_there_is_no_store(cli: Cli, arguments: tuple[str, ...]) -> None:
    none = cli.folder / "none"
    assert cli.refused(*arguments, store=none).startswith(f"There is no store at {none}. Make one with 'selfedit")
