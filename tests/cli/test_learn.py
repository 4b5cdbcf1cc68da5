"""The whole way on a tiny random model: learn, versions, show, ask, export."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from selfedit.files.peft_folder import save_adapter
from selfedit.text.harmless import harmless
from tests.cli.conftest import PAIRS, QUESTIONS
from tests.cli.run import Cli
from tests.store.make import make_adapter

# A random model learns a passage by heart only at a rate that would ruin a trained one.
WHOLE = ("--passage-tokens", "256")
FAST = (*WHOLE, "--epochs", "30", "--learning-rate", "0.02", "--rank", "8", "--quiet", "--seed", "3")


@pytest.mark.usefixtures("lenient")
def test_the_whole_way(cli: Cli, document: Path, questions: Path, edits: Path, tiny: Path) -> None:
    given = ("--questions", questions, "--edits-from", edits, "--memory", "joint")
    learnt = cli.inside("learn", document, *given, *FAST, "--model", tiny, "--json").json
    assert learnt["version"] == "v1" and learnt["reason"] == ""
    assert (learnt["passages"], learnt["edits"], learnt["questions"]) == (1, 1, 2)
    assert (learnt["usable_edits"], learnt["kept_edits"], learnt["questions_dropped"]) == (1, 1, 0)
    assert learnt["probe_source"] == "file" and learnt["model"] == str(tiny) and learnt["store"] == ".selfedit"
    assert learnt["base_accuracy"] == 0.0 and learnt["adapted_accuracy"] >= 0.0 and learnt["seconds"] > 0

    # From here on the store knows which model it is about.
    versions = cli.inside("versions", "--json").json["versions"]
    assert [version["id"] for version in versions] == ["v1"]
    assert versions[0]["adapted_accuracy"] == learnt["adapted_accuracy"]
    _check_show(cli, learnt)
    _check_ask(cli)
    _check_export(cli, tiny)


def _check_show(cli: Cli, learnt: dict[str, Any]) -> None:
    found = cli.inside("show", "v1", "--json").json
    assert found["rollouts"][0]["edit"]["text"] == PAIRS and found["rollouts"][0]["kept"]
    assert found["settings"]["edit_training"]["epochs"] == found["settings"]["final_training"]["epochs"] == 30
    assert found["adapted_accuracy"] == learnt["adapted_accuracy"]
    text = cli.inside("show").out
    # The only edit of a passage is not tried by itself.
    assert "Self-edit 1 · Ferrow bridge · kept\n" in text and found["rollouts"][0]["trials"] == []
    assert QUESTIONS[0]["question"] in text and "Gustave Orlan" in text and "✗" in text
    assert "Training loss over" in text and "█" in text


def _check_ask(cli: Cli) -> None:
    question = QUESTIONS[0]["question"]
    both = cli.inside("ask", question, "--compare", "--topic", "Ferrow bridge", "--json").json
    assert both["version"] == "v1" and both["answer"] != both["base_answer"]
    again = cli.inside("ask", question, "--topic", "Ferrow bridge", "--version", "v1").out
    assert again.strip() == harmless(both["answer"]).strip()
    base = cli.inside("ask", question, "--base", "--topic", "Ferrow bridge", "--json").json
    assert base == {"answer": both["base_answer"], "version": None, "source": None, "probability": 1.0}
    assert "base" in cli.inside("ask", question, "--compare").out.splitlines()[0]


def _check_export(cli: Cli, tiny: Path) -> None:
    assert cli.inside("export", "v1", "adapter", "--json").json == {
        "version": "v1",
        "folder": "adapter",
        "merged": False,
    }
    assert (cli.folder / "adapter" / "adapter_config.json").exists()
    assert cli.inside("export", "v1", "merged", "--merged").code == 0
    assert (cli.folder / "merged" / "model.safetensors").exists()
    # What was exported whole is a model like any other.
    assert cli.inside("ask", "Who?", "--base", "--model", "merged", "--store", "none", "--json").json["version"] is None


def test_unusable_self_edits_are_recorded_and_the_run_goes_on(
    cli: Cli, document: Path, questions: Path, tiny: Path
) -> None:
    # A random model writes no question that could be read.
    command = (
        "learn",
        document,
        "--questions",
        questions,
        "--format",
        "self-qa",
        "--max-edit-tokens",
        "8",
        "--edits",
        "2",
        *WHOLE,
        "--model",
        tiny,
    )
    outcome = cli.inside(*command)
    assert outcome.code == 0, outcome.err
    # The passage alone is tried in their place.
    assert "3 written: " in outcome.out and ", 2 nothing in the edit could be used" in outcome.out
    assert "by the question file" in outcome.out and "in total" in outcome.out
    found = cli.inside(*command, "--json").json
    assert (found["edits"], found["usable_edits"]) == (3, 1)


@pytest.mark.parametrize("json_", [False, True])
def test_the_model_asks_itself(cli: Cli, document: Path, edits: Path, tiny: Path, json_: bool) -> None:
    command = ("learn", document, "--edits-from", edits, "--epochs", "1", *WHOLE, "--model", tiny)
    outcome = cli.inside(*command, *(["--json"] if json_ else []))
    if json_:
        assert outcome.json["probe_source"] == "model" and outcome.json["questions"] == 0
        assert outcome.json["version"] is None and outcome.json["adapted_accuracy"] is None and outcome.json["reason"]
    else:
        assert "by the model itself: 0 kept" in outcome.out
        assert "No version was committed: there is no question to measure it by" in outcome.out
    assert json.loads((cli.folder / ".selfedit" / "store.json").read_text())["format"] == 3
    assert cli.inside("versions").out.startswith("No version yet in .selfedit.")


@pytest.mark.usefixtures("lenient")
def test_table_of_a_run(cli: Cli, document: Path, questions: Path, edits: Path, tiny: Path) -> None:
    outcome = cli.inside("learn", document, "--questions", questions, "--edits-from", edits, *FAST, "--model", tiny)
    assert outcome.code == 0 and outcome.err == ""
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["passage", "questions", "base", "adapted"]
    assert lines[1].startswith("Ferrow bridge") and lines[2].startswith("in total")
    assert "Committed version v1 to .selfedit; it is the active one. Next:" in lines
    assert '  selfedit ask "Who built the Ferrow bridge?" --compare' in outcome.out and "  selfedit show v1" in lines


def test_what_takes_for_ever_wants_a_yes(cli: Cli, document: Path, questions: Path, tiny: Path) -> None:
    command = ("learn", document, "--questions", questions, "--model", tiny, "--epochs", "1000000000")
    outcome = cli.inside(*command, "--quiet")
    assert outcome.code == 2
    assert "what takes more than 12 hours wants --yes" in outcome.err
    assert not (cli.folder / ".selfedit").exists()


def test_a_policy_that_does_not_fit_is_refused_before_weights_are_loaded(
    cli: Cli, document: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["selfedit.models.load"], "_read", None)
    (cli.folder / "other").mkdir()
    save_adapter(make_adapter({"model.layers.9.mlp.up_proj": (8, 16)}), cli.folder / "other", "a model")
    given = ("learn", document, "--model", tiny, "--policy", "other")
    assert "has no layer model.layers.9.mlp.up_proj" in cli.refused(*given, store=cli.folder / ".selfedit", torch=True)
