"""What do practice and reinforcement learning do to the default model's policy? On 60 SQuAD validation passages.

    python -m benchmarks.policy_rounds --out benchmarks/results/policy_rounds-cpu.json

The configuration `squad_answer_first`, with other passages: rounds are about some that are in nobody's list of 200 (the
starting policy practised on questions of such passages), and compared are the 60 shortest of the 200. The bare model,
which writes in the same format and whose adapters are trained in the same way, is the state before practice. Intervals
are paired and resample passages. Interrupted, it goes on.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import recorded
from benchmarks.starting_policy import SQUAD
from selfedit.experiments.config import load_config
from selfedit.experiments.runs.page import conditions
from selfedit.experiments.runs.records import MEASURES, RunRecords
from selfedit.experiments.runs.side_by_side import side_by_side
from selfedit.experiments.start import evaluate, train
from selfedit.policies.formats import parse_pairs
from selfedit.progress import make_progress
from selfedit.report import to_markdown

COMPARED = 60
LONGEST = 120
"""Words of a passage that a round is about."""


def write_data(folder: Path, seed: int) -> dict[str, Path]:
    """The files that the run reads: passages of the rounds, and which passages are compared on."""
    passages: list[dict[str, Any]] = json.loads((SQUAD / "val.json").read_text())
    validation: list[int] = json.loads((SQUAD / "val200.index.json").read_text())

    def words(number: int) -> int:
        return len(passages[number]["context"].split())

    others = [number for number in range(len(passages)) if number not in set(validation) and words(number) <= LONGEST]
    random.Random(seed).shuffle(others)
    shortest = sorted(validation, key=words)[:COMPARED]
    folder.mkdir(parents=True, exist_ok=True)
    files = {"data.train": folder / "train.json", "data.validation_index": folder / "shortest.json"}
    files["data.train"].write_text(json.dumps([passages[number] for number in others]))
    files["data.validation_index"].write_text(json.dumps(shortest))
    return files


def pairs_kept(run: RunRecords) -> dict[str, int]:
    """How many questions each writer's edits about the validation passages have, by what reports call it."""
    return {name: sum(len(parse_pairs(edit.text)) for edit in run.edits(key)) for key, name in run.edit_sources()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--rounds-alone", action="store_true", help="without the bare model")
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/selfedit-policy-rounds"))
    parser.add_argument("--set", action="append", default=[], help="key=value of the configuration")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/policy_rounds-cpu.json"))
    options = parser.parse_args()
    files = write_data(options.scratch, seed=0)
    given: Sequence[str] = [*(f"{key}={path}" for key, path in files.items()), *options.set]
    progress = make_progress()
    name = Path("squad_answer_first")
    taught = train(
        load_config(name, (*given, f"outer.rounds={options.rounds}")), options.scratch / "practised", None, progress
    )
    folders = [taught]
    if not options.rounds_alone:
        untaught = load_config(name, (*given, "policy.start=none", "evaluation.conditions=[base, own]"))
        folders.append(evaluate(untaught, options.scratch / "bare", None, None, progress))
    runs = [RunRecords(folder.path) for folder in folders]
    if len(runs) > 1:  # The report of one is beside its records.
        print(to_markdown(side_by_side(runs)))
    by_run = {
        run.id: {
            "questions kept": pairs_kept(run),
            **{title: conditions(run, value)[0] for title, _, value in MEASURES},
        }
        for run in runs
    }
    recorded({"runs": by_run}, options)


if __name__ == "__main__":
    main()
