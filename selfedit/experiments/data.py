"""The passages of a run, read and checked before a model is loaded."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from selfedit.errors import UserError
from selfedit.experiments.config import TrainConfig
from selfedit.experiments.kinds import kind_of
from selfedit.files.disk import exists
from selfedit.files.serialize import encode
from selfedit.release_0_1 import as_release_0_1
from selfedit.text.reading import decode, read_bytes, sha256
from selfedit.types import Task

_HOW_TO_GET = (
    "Passages with questions are needed: SQuAD v1.1 as JSON (the dataset 'rajpurkar/squad' on the Hugging Face hub, or "
    'train-v1.1.json), or a JSONL file of your own with {"context", "questions": [{"question", "answer"}]} a line. '
    "Name it with --set data.{key}=FILE."
)


@dataclass(frozen=True)
class RunData:
    """The tasks of each round, those of validation, and the hashes of all that was read, wherever it came from."""

    rounds: tuple[tuple[Task, ...], ...]
    validation: tuple[Task, ...]
    hashes: dict[str, str]


def read_data(config: TrainConfig, training: bool = True) -> RunData:
    """Read what the configuration names; without `training` only what conditions are compared on.

    Raises:
        UserError: a file is missing or malformed, or has fewer passages than are asked for.
    """
    hashes: dict[str, str] = {}
    rounds = _rounds(config, hashes) if training else ()
    validation = _validation(config, hashes)
    if config.policy.prompts is not None:
        hashes["prompts"] = sha256(read_bytes(config.policy.prompts))
    if not training and not validation:
        raise UserError("data.validation is missing: there are no passages to compare on.")
    return RunData(rounds, validation, hashes)


def overlap(data: RunData) -> str:
    """A word on passages that are both trained on and compared on; empty if there are none."""
    trained = {(task.title, task.context) for tasks in data.rounds for task in tasks}
    shared = sum((task.title, task.context) in trained for task in data.validation)
    if not shared:
        return ""
    which = "All" if shared == len(data.validation) else f"{shared}"
    return (
        f"{which} of the {len(data.validation)} validation passages are trained on, too: what the policy gains on them "
        "says nothing of others. Name another data.validation."
    )


def _rounds(config: TrainConfig, hashes: dict[str, str]) -> tuple[tuple[Task, ...], ...]:
    data = config.data
    if data.train is None:
        raise UserError(f"data.train is missing. {_HOW_TO_GET.replace('{key}', 'train')}")
    tasks = _tasks(config, data.train, "train")
    hashes["train"] = _hash(tasks)
    starts = data.starts or tuple(index * data.contexts for index in range(config.outer.rounds))
    for number, start in enumerate(starts[: config.outer.rounds], 1):
        if start + data.contexts > len(tasks):
            again = ", ".join("0" for _ in range(config.outer.rounds))
            raise UserError(
                f"Round {number} needs passages {start} to {start + data.contexts - 1}, and {data.train} has "
                f"{len(tasks)}. Lower data.contexts or outer.rounds; data.starts: [{again}] takes the same ones again."
            )
    return tuple(tuple(tasks[start : start + data.contexts]) for start in starts[: config.outer.rounds])


def _validation(config: TrainConfig, hashes: dict[str, str]) -> tuple[Task, ...]:
    data = config.data
    if data.validation is None:
        return ()
    tasks = _tasks(config, data.validation, "validation")
    if data.validation_index is not None:
        if not kind_of(config.domain).only_files:
            raise UserError("data.validation_index chooses among the passages of a file; name tasks by their ids.")
        tasks = _chosen(tasks, data.validation_index)
    hashes["validation"] = _hash(tasks)
    if data.validation_contexts > len(tasks):
        raise UserError(
            f"data.validation_contexts is {data.validation_contexts}; {data.validation} gives {len(tasks)} passages."
        )
    return tuple(tasks[: data.validation_contexts])


def _tasks(config: TrainConfig, path: Path, key: str) -> list[Task]:
    kind = kind_of(config.domain)
    if kind.only_files and not exists(path):
        raise UserError(f"{path} (data.{key}) is not there. {_HOW_TO_GET.replace('{key}', key)}")
    tasks = kind.read_tasks(path, key[0], config.data.questions)
    if not tasks:
        raise UserError(f"{path} (data.{key}) has no passage with a question: each needs 'questions'.")
    id, times = Counter(task.id for task in tasks).most_common(1)[0]
    if times > 1:
        raise UserError(f"{path} (data.{key}) names {id} more than once.")
    if config.data.shuffle is not None:
        random.Random(config.data.shuffle).shuffle(tasks)
    return tasks


def _hash(tasks: Sequence[Task]) -> str:
    """Of what was read: the same from a file, a folder or a list of ids."""
    return sha256(encode(tuple(map(as_release_0_1, tasks))))


def _chosen(tasks: Sequence[Task], path: Path) -> list[Task]:
    """The tasks that an index names, by the place of their passage in the file."""
    if not path.exists():
        raise UserError(f"{path} (data.validation_index) is not there.")
    try:
        index = json.loads(decode(read_bytes(path), path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON ({error.msg}).") from None
    index = index.get("indices", index) if isinstance(index, dict) else index
    by_place = {int(task.id[1:]): task for task in tasks}
    if not isinstance(index, list) or not all(isinstance(i, int) and i in by_place for i in index):
        raise UserError(f"{path} (data.validation_index) must be a JSON list of places of passages with questions.")
    if len(set(index)) < len(index):
        raise UserError(f"{path} (data.validation_index) names a passage more than once.")
    return [by_place[i] for i in index]
