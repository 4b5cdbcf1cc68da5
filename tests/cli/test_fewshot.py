"""`selfedit solve` and `selfedit arc`, as a user calls them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from selfedit.domains.fewshot.choices import parse
from selfedit.files.peft_folder import save_adapter
from tests.cli.run import Cli, error_of
from tests.experiments.data import write_config
from tests.store.make import make_adapter
from tests.tiny import make_tiny_model

ROWS = [{"input": text, "output": text[::-1]} for text in ("ab", "cd", "ef")]


def write_rows(folder: Path, *more: Any) -> str:
    path = folder / "turned.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in (*ROWS, *more)))
    return path.name


def refused(cli: Cli, *arguments: str | Path, torch: bool = False) -> str:
    """The one line that a refused command says, before torch was imported unless that may be."""
    outcome = (cli.inside if torch else cli)(*arguments, "--json")
    assert torch or not outcome.imported_torch
    return error_of(outcome)


def test_solve_text(cli: Cli, tiny: Path) -> None:
    name = write_rows(cli.folder, {"input": "gh", "answer": "hg"}, {"input": "ij"})
    said = cli.inside("solve", name, "--model", tiny, "--edits", "2", "--max-tokens", "200", "--json").json
    assert said["task"] == "turned"
    assert len(said["predictions"]) == 2
    assert (said["solved"], said["right"]) == (None, [said["predictions"][0] == "hg", None])
    assert [edit["recipe"] for edit in said["edits"]] == ["fixed", "own", "own"]
    for edit in said["edits"][1:]:
        parse("text", edit["text"])
    assert [edit["chosen"] for edit in said["edits"]].count(True) == 1
    (chosen,) = (edit for edit in said["edits"] if edit["chosen"])
    assert said["taken"] == {"fixed": "the fixed recipe", "own": "the model's own self-edit"}[chosen["recipe"]]
    compared = [edit for edit in said["edits"] if edit["failure"] is None]
    for edit in compared if len(compared) > 1 else ():
        assert edit["left_out_asked"] == 3
        assert f"{chosen['left_out_right']} of 3 left-out demonstrations are right" in said["why"]
    assert said["compare_tokens"] == 200 // 6
    assert said["policy"] is None
    assert said["seconds"] > 0


def test_known_answers_are_marked(cli: Cli, tiny: Path) -> None:
    name = write_rows(cli.folder, {"input": "gh", "answer": "hg"}, {"input": "ij"})
    shown = cli.inside("solve", name, "--model", tiny, "--max-tokens", "100", "--seed", "1").out
    assert re.search(r"0 of 1 known answers right; \d+ training problems", shown)
    assert len(re.findall(r"\b(right|wrong) *\n", shown)) == 1
    assert re.search(r"Taken: (the fixed recipe|the model's own self-edit): ", shown)


def test_a_policy_is_trained_on(cli: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = write_rows(cli.folder, {"input": "gh", "answer": "hg"})
    solve = ("solve", name, "--model", tiny, "--fixed", "--max-tokens", "100", "--json")
    shapes = {"model.layers.0.mlp.up_proj": widths(tiny)}
    save_policy(cli.folder / "taught", shapes)
    bare = cli.inside(*solve, "--policy", "none").json
    taught = cli.inside(*solve, "--policy", "taught").json
    assert bare["policy"] is None
    assert taught["policy"]["name"] == "taught"
    assert re.fullmatch(r"[0-9a-f]{64}", taught["policy"]["sha256"])
    assert taught["losses"] != bare["losses"]

    # What does not fit is said before weights are loaded.
    monkeypatch.setattr(sys.modules["selfedit.models.load"], "_read", None)
    save_policy(cli.folder / "other", {"model.layers.9.mlp.up_proj": (8, 16)})
    save_policy(cli.folder / "wide", {"model.layers.0.mlp.up_proj": (7, 7)})
    unknown = refused(cli, *solve[:-1], "--policy", "other", torch=True)
    assert "has no layer model.layers.9.mlp.up_proj" in unknown
    assert "is of another size" in refused(cli, *solve[:-1], "--policy", "wide", torch=True)


def test_a_policy_that_a_run_trained(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(cli.folder)
    small = ("--set", "outer.rounds=1", "--set", "outer.training_seeds=1", "--set", "evaluation.conditions=[base]")
    assert cli.inside("train", "config.yaml", *small, "--device", "cpu", "--quiet", "--json").json["id"] == "config"
    name = write_rows(cli.folder, {"input": "gh", "answer": "hg"})
    solve = ("solve", name, "--fixed", "--max-tokens", "100", "--policy")
    own = cli.inside(*solve, "config:r1", "--model", "model", "--json").json
    assert own["policy"]["name"] == "config:r1"
    newest = cli.inside(*solve, "config", "--model", "model", "--json").json
    assert newest["policy"]["sha256"] == own["policy"]["sha256"]
    make_tiny_model(cli.folder / "other", seed=5)
    monkeypatch.setattr(sys.modules["selfedit.models.load"], "_read", None)
    other = refused(cli, *solve, "config", "--model", "other", torch=True)
    assert re.search(r"The policy config was made for .*model, not for .*other; use --model ", other)
    assert "has no policy 'r7': it has r1" in refused(cli, *solve, "config:r7", "--model", "model", torch=True)


def widths(model: Path) -> tuple[int, int]:
    """Input and output width of a feed-forward layer."""
    config = json.loads((model / "config.json").read_text())
    return config["hidden_size"], config["intermediate_size"]


def save_policy(folder: Path, shapes: dict[str, tuple[int, int]]) -> None:
    folder.mkdir()
    save_adapter(make_adapter(shapes), folder, "a model")


def test_solve_a_puzzle_by_the_fixed_recipe(cli: Cli, tiny: Path) -> None:
    shown = cli.inside("solve", "25ff71a9", "--model", tiny, "--fixed", "--max-tokens", "400")
    assert shown.code == 0, shown.err
    assert "fixed recipe" in shown.out
    assert "Taken: the fixed recipe: nothing was set beside it" in shown.out
    assert "0 of 2 known answers right; " in shown.out
    assert len(re.findall(r"\bwrong\b", shown.out)) == 2
    said = cli.inside("solve", "25ff71a9", "--model", tiny, "--fixed", "--max-tokens", "400", "--vote", "--json").json
    assert said["solved"] is False
    assert said["right"] == [False, False]
    assert said["edits"][0]["text"] == "none"


def test_solve_by_a_configuration(cli: Cli, tiny: Path) -> None:
    solve = ("solve", "25ff71a9", "--model", tiny, "--config", "arc_paper", "--json")
    small = ("--fixed", "--max-tokens", "400", "--set", "inner.rank=4", "--set", "domain_settings.prompt=plain")
    said = cli.inside(*solve, *small).json
    assert [len(guesses) for guesses in said["guesses"]] == [len(set(map(str, g))) for g in said["guesses"]]
    assert all(1 <= len(guesses) <= 2 for guesses in said["guesses"])
    assert [guesses[0] for guesses in said["guesses"]] == said["predictions"]
    assert said["solved"] is False


def test_a_configuration_and_options_do_not_mix(cli: Cli, tiny: Path) -> None:
    solve = ("solve", "25ff71a9", "--model", tiny)
    assert "name one with --config" in refused(cli, *solve, "--set", "inner.rank=4")
    assert "write --set domain_settings.views=rigid" in refused(cli, *solve, "--config", "arc_paper", "--vote")
    assert "`solve` needs 'fewshot'" in refused(cli, *solve, "--config", "squad_cpu")


def test_one_demonstration_says_what_is_done_instead(cli: Cli, tiny: Path) -> None:
    path = cli.folder / "one.jsonl"
    path.write_text('{"input": "a", "output": "b"}\n{"input": "c"}\n')
    done = cli.inside("solve", "one.jsonl", "--model", tiny, "--json")
    assert (done.json["examples"], done.json["taken"]) == (1, "the fixed recipe")
    assert "One demonstration cannot be left out, so that nothing is compared: the fixed recipe is taken" in done.err


def test_show(cli: Cli) -> None:
    shown = cli.inside("arc", "show", "25ff71a9")
    assert "input 1" in shown.out
    assert "answer 2" in shown.out
    assert cli.inside("arc", "show", "25ff71a9", "--json").json["rows"][0]["input 1"] == [
        [1, 1, 1],
        [0, 0, 0],
        [0, 0, 0],
    ]
    cli.inside("arc", "show", "25ff71a9", "--svg", cli.folder / "task.svg")
    svg = (cli.folder / "task.svg").read_text()
    assert svg.count("<rect") == 12 * 9
    line = refused(cli, "arc", "show", "25ff71a9", "--svg", cli.folder / "task.svg")
    assert "is there already" in line


def test_filter_goes_on_where_it_was(cli: Cli, tiny: Path) -> None:
    (cli.folder / "ids.json").write_text('["25ff71a9", "a85d4709", "007bbfb7"]')
    command = ["arc", "filter", "ids.json", "--model", str(tiny), "--max-tokens", "200", "--max-prompt", "400"]
    first = cli.inside(*command, "--limit", "1", "--out", "out.jsonl", "--json").json
    assert first["tasks"] == 1
    rows = (cli.folder / "out.jsonl").read_text()
    # As if it had been killed while it wrote the second row.
    (cli.folder / "out.jsonl").write_text(rows + '{"task": "a85d')
    whole = cli.inside(*command, "--out", "out.jsonl", "--json").json
    assert (whole["tasks"], whole["left_out"]) == (2, 1)
    lines = (cli.folder / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["task"] for line in lines] == ["25ff71a9", "a85d4709"]
    assert lines[0] == rows.strip()
    assert whole["solved"] == [row["task"] for row in map(json.loads, lines) if row["solved"]]
    line = refused(cli, *command, "--seed", "5", "--out", "out.jsonl")
    assert "out.jsonl is of another run: seed differ" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["solve", "25ff71a8"], r"no ARC task '25ff71a8'. Did you mean '25ff71a9'"),
        (["solve", "none.json"], r"There is no file none\.json"),
        (["solve", "ragged.json"], r"ragged\.json, demonstration 1, input: the grid is ragged"),
        (["solve", "rows.jsonl"], r"rows\.jsonl, line 2: there is no 'input'"),
        (["solve", "nothing.jsonl"], r"nothing\.jsonl has nothing to predict"),
        (["solve", "a85d4709,25ff71a9"], r"holds 2 tasks; name one of them"),
        (["solve", "25ff71a9", "--fixed", "--edits", "2"], r"--fixed writes no self-edits"),
        (["solve", "25ff71a9", "--fixed", "--own"], r"leave --own out"),
        (["solve", "25ff71a9", "--policy", "nowhere"], r"nowhere"),
        (["solve", "25ff71a9", "--model", "smollm"], r"smollm"),
        (["arc", "filter", "arc1-test", "--out", "x.jsonl"], r"Unknown set 'arc1-test'. Did you mean 'arc"),
        (["arc", "show", "arc9:25ff71a9"], r"Unknown dataset 'arc9'"),
        (["arc", "show", ",".join(["25ff71a9"] * 40)], r"holds 40 tasks"),
        (["arc", "show", "25ff71a9", "--svg", "nowhere/x.svg"], r"Cannot write to nowhere/x.svg"),
        (["arc", "show", "numbers.json#b"], r"numbers.json#b is not a list of ids"),
        (["arc", "show", "half.jsonl"], r"half.jsonl, line 1: it holds half of a surrogate pair"),
        (["arc", "filter", "25ff71a9", "--out", "nowhere/x.jsonl"], r"Cannot write to nowhere/x.jsonl"),
        (["arc", "filter", "25ff71a9", "--out", "numbers.json"], r"numbers.json holds something else"),
        (["arc", "filter", "25ff71a9", "--out", "nothing.jsonl"], r"nothing.jsonl holds something else"),
    ],
)
def test_bad_input(cli: Cli, arguments: list[str], said: str) -> None:
    pair = {"input": [[1]], "output": [[2]]}
    ragged = {"train": [{"input": [[1], [1, 2]], "output": [[1]]}], "test": [pair]}
    (cli.folder / "ragged.json").write_text(json.dumps(ragged))
    (cli.folder / "rows.jsonl").write_text('{"input": "a", "output": "b"}\n{"output": "b"}\n')
    (cli.folder / "nothing.jsonl").write_text('{"input": "a", "output": "b"}\n')
    (cli.folder / "numbers.json").write_text('{"a": [], "b": 3}')
    (cli.folder / "half.jsonl").write_text('{"input": "\\ud83d", "output": "b"}\n{"input": "c"}\n')
    before = {path: path.read_bytes() for path in cli.folder.iterdir() if path.is_file()}
    assert re.search(said, refused(cli, *arguments))
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_task_too_long_for_the_window_says_how_many_tokens(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    large = [[1] * 30] * 30
    pair = {"input": large, "output": large}
    (cli.folder / "large.json").write_text(json.dumps({"train": [pair] * 3, "test": [pair]}))
    line = refused(cli, "solve", "large.json", "--model", tiny, torch=True)
    assert re.search(r"Task large takes \d{4} tokens with its demonstrations, and the model's window is 4096", line)
