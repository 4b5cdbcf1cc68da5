"""`train`, `eval`, `report` and `runs` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.run import Cli, error_of
from tests.experiments.data import write_config

QUICK = ("--set", "outer.rounds=1", "--set", "outer.training_seeds=1", "--device", "cpu", "--quiet")


def write_edits(folder: Path, passages: int) -> None:
    rows = [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()[:passages]]
    edits = [{"context": row["context"], "self_edit": "Odo built a bridge."} for row in rows]
    (folder / "edits.jsonl").write_text("".join(f"{json.dumps(edit)}\n" for edit in edits))


def test_the_whole_way(cli: Cli) -> None:
    write_config(cli.folder)
    trained = cli.inside("train", "config.yaml", *QUICK, "--json").json
    assert (trained["id"], trained["folder"], trained["status"]) == ("config", "runs/config", "finished")
    titles = [table["title"] for table in trained["tables"]]
    assert titles[0] == "How many answers are right, against 'no update'"
    write_edits(cli.folder, 1)
    extra = ("--set", "evaluation.edits_from={half: edits.jsonl}", "--set", "data.train=null")
    compared = cli.inside("eval", "config.yaml", "--run", "config", *extra, "--device", "cpu", "--json")
    assert "edits.jsonl has no edit about 1 of the 2 passages." in compared.err
    assert compared.json["id"] == "config-eval-config"
    assert (
        "edits of half: in 1 case no edit could be used, and the model answered as it was." in (compared.json["notes"])
    )
    rows = [row[0] for row in compared.json["tables"][0]["rows"]]
    assert "own edits, after round 1" in rows and "edits of half" in rows
    _check_reports(cli)


def _check_reports(cli: Cli) -> None:
    found = cli.inside("runs", "--json").json["runs"]
    assert [(run["id"], run["kind"]) for run in found] == [("config", "train"), ("config-eval-config", "eval")]
    assert cli.inside("runs", "show", "config", "--json").json["config"]["outer"]["rounds"] == 1
    assert "finished; report: runs/config/report.html" in cli.inside("report", "config").out
    both = cli.inside("report", "config", "runs/config-eval-config", "--json").json
    assert [table["columns"][2] for table in both["tables"]] == ["accuracy, %", "log-probability"]
    lines = cli.inside("report", "config", "config-eval-config").out
    assert "How likely the gold answers became" in lines


def refused(cli: Cli, *arguments: str) -> str:
    return error_of(cli.inside(*arguments, "--json"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "."), ". is a folder: name a file."),
        (("train", "config.yaml", "--set", "data.train=null"), "data.train is missing."),
        (("train", "config.yaml", "--set", "data.contexts=5"), "data.starts: [0, 0] takes the same ones again."),
        (("eval", "config.yaml", "--run", "nothing"), "There is no run 'nothing' in runs."),
        (("eval", "config.yaml", "--set", "data.validation=null"), "data.validation is missing"),
        (("eval", "config.yaml", "--set", "evaluation.regimes=[]"), "'evaluation.regimes' is []"),
        (
            ("eval", "config.yaml", "--set", "evaluation.edits_from={mine: nope.jsonl}"),
            "nope.jsonl (evaluation.edits_from.mine) is not there.",
        ),
        (("report", "nothing"), "There is no run 'nothing' in runs."),
        (("runs", "--runs", "config.yaml"), "config.yaml is a file: name the folder that the runs are in."),
        (("runs", "show", "nothing"), "There is no run 'nothing' in runs."),
    ],
)
def test_bad_input(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    write_config(cli.folder)
    assert said in refused(cli, *arguments)
    assert not (cli.folder / "runs").exists()


def test_policies_that_nothing_asks_about_are_refused(cli: Cli) -> None:
    write_config(cli.folder)
    assert cli.inside("train", "config.yaml", *QUICK).code == 0
    said = refused(cli, "eval", "config.yaml", "--run", "config", "--set", "evaluation.conditions=base")
    assert said.startswith("--run gives policies, and evaluation.conditions has no 'policy'.")


def test_configurations_that_come_with_it(cli: Cli, tmp_path: Path) -> None:
    configs = cli.inside("configs", "--json").json["configs"]
    assert {"squad_cpu", "squad_paper", "arc_cpu"} <= configs.keys()
    assert all(configs.values())
    assert "squad_cpu" in cli.inside("runs").out
    assert cli.inside("configs", "copy", "squad_cpu", "mine", "--json").json == {"config": "mine/squad_cpu.yaml"}
    assert (tmp_path / "mine" / "squad_cpu.yaml").read_text().startswith("# ReST-EM on SQuAD")
    again = cli.inside("configs", "copy", "squad_cpu", "mine")
    assert again.code == 2 and "is there already" in again.err
    assert "Did you mean 'squad_cpu'" in cli.inside("configs", "copy", "squadcpu").err
    assert "Did you mean 'squad_cpu'" in cli.inside("train", "squad_cpuu").err
    assert "Did you mean 'squad_cpu.yaml'" in cli.inside("train", "mine/squad_cpu.yml").err


def test_training_on_what_it_is_compared_on_is_said(cli: Cli, tmp_path: Path) -> None:
    config = write_config(tmp_path, outer__rounds=1, data__validation="train.jsonl")
    outcome = cli.inside("train", config, "--out", "runs/same")
    assert "All of the 2 validation passages are trained on, too" in outcome.err


def test_errors_are_objects_where_json_is_asked_for(cli: Cli) -> None:
    outcome = cli.inside("train", "none.yaml", "--json")
    assert outcome.code == 2
    error = json.loads(outcome.out)["error"]
    assert error["kind"] == "user" and error["message"].startswith("There is no configuration none.yaml.")
    assert outcome.err == f"error: {error['message']}\n"
    usage = cli.inside("ask", "a", "--jsno", "--json")
    assert usage.code == 2 and json.loads(usage.out)["error"]["kind"] == "user"
