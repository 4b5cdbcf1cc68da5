"""What a run recorded, read back for reports without disturbing it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from selfedit.domains import load_domain
from selfedit.experiments.runs.folder import RunFacts, RunFolder
from selfedit.experiments.algorithms.rest_em import Ranked
from selfedit.experiments.trials import Trial
from selfedit.report import ACCURACY, GOLD_LOGPROB, Measure
from selfedit.files.journal import read_records
from selfedit.files.serialize import decode, encode
from selfedit.types import Answer, Evaluation, SelfEdit, Task

T = TypeVar("T")


@dataclass(frozen=True)
class RoundRecord:
    """One round as it was recorded. `policy_sha256` is empty where the policy was left as it was."""

    number: int
    ranked: tuple[Ranked, ...]
    policy_sha256: str
    policy_losses: tuple[float, ...]
    note: str = ""


class RunRecords:
    """A run folder's facts and records. A run that is under way can be read, too.

    `id` is what the folder is called now.
    """

    def __init__(self, path: Path) -> None:
        self.facts: RunFacts = RunFolder.read(path).facts
        self.id = path.resolve().name
        journal = path / "records" / "journal.jsonl"
        self._records = read_records(journal.read_bytes())[0] if journal.exists() else {}
        self._decoded: dict[tuple[str, str], Any] = {}
        self._domain_names = dict(load_domain(str(self.facts.config["domain"])).names)

    def get(self, kind: str, key: str, type_: type[T]) -> T | None:
        """The value recorded last under `kind` and `key`, or None."""
        if (kind, key) not in self._records:
            return None
        if (kind, key) not in self._decoded:
            self._decoded[kind, key] = decode(type_, encode(self._records[kind, key]))
        found: T = self._decoded[kind, key]
        return found

    def tasks(self, key: str) -> tuple[Task, ...]:
        """The passages of a round ('r1') or of validation ('v'); none if it did not come to them."""
        return self.get("tasks", key, tuple[Task, ...]) or ()

    def rounds(self) -> list[RoundRecord]:
        """The rounds that ended."""
        found: list[RoundRecord] = []
        while (record := self.get("round", f"r{len(found) + 1}", RoundRecord)) is not None:
            found.append(record)
        return found

    def trials(self, key: str) -> list[Trial]:
        """All trials under a key: those whose edit could not be used, then chunk by chunk."""
        found: list[Trial] = list(self.get("trials", f"{key}.failed", tuple[Trial, ...]) or ())
        index = 0
        while (chunk := self.get("trials", f"{key}.{index}", tuple[Trial, ...])) is not None:
            found += chunk
            index += 1
        return found

    def is_complete(self, key: str) -> bool:
        """Whether every edit about the validation passages under a key was tried with every training seed."""
        edits = {edit.id for edit in self.edits(key)}
        if key == "passage":
            edits = {f"passage.{task.id}" for task in self.tasks("v")}
        trials = self.trials(key)
        # An edit that cannot be used is recorded once a seed, too.
        seeds = int(self.facts.config["evaluation"]["training_seeds"])
        return {trial.edit_id for trial in trials} == edits and len(trials) == len(edits) * seeds

    def edits(self, key: str) -> tuple[SelfEdit, ...]:
        """The self-edits under a key."""
        return self.get("edits", key, tuple[SelfEdit, ...]) or ()

    def edit_sources(self) -> list[tuple[str, str]]:
        """Who wrote edits about the validation passages: a key of `edits` and `trials`, and what reports call it."""
        keys = ["v0", *(f"v{record.number}" for record in self.rounds())]
        keys += [key for key in self.keys("edits") if key.startswith(("from-", "policy-r"))]
        return [(key, self.name(key)) for key in keys if self.edits(key)]

    def name(self, key: str) -> str:
        """What reports call a condition: no update, asking in context, or who wrote the edits."""
        names = {"base": "no update", "v0": "own edits, before RL"} | self._domain_names
        if key in names:
            return names[key]
        if key.startswith("from-"):
            return f"edits of {key.removeprefix('from-')}"
        return f"own edits, after round {key.removeprefix('policy-r').removeprefix('v')}"

    def base(self, key: str) -> tuple[Evaluation, ...]:
        """The probes asked without update."""
        return self.get("before", key, tuple[Evaluation, ...]) or ()

    def keys(self, kind: str) -> list[str]:
        """Every key recorded under `kind`, in the order of recording."""
        return [key for other, key in self._records if other == kind]


Value = Callable[[Answer], float]
"""What of an answer is compared."""


def is_right(answer: Answer) -> float:
    """1 for a right answer, 0 for a wrong one."""
    return float(answer.verdict.correct)


def gold_logprob(answer: Answer) -> float:
    """The mean log-probability of a token of the gold answer."""
    return answer.gold_logprob


MEASURES: tuple[tuple[str, Measure, Value], ...] = (
    ("How many answers are right", ACCURACY, is_right),
    ("How likely the gold answers became", GOLD_LOGPROB, gold_logprob),
)
"""What conditions are compared by: a heading, how figures are written, and the value of an answer."""


def graded(tasks: Sequence[Task], evaluations: Sequence[Evaluation], value: Value = is_right) -> list[list[float]]:
    """A value of each answer by passage and question."""
    by_id = {evaluation.task_id: evaluation for evaluation in evaluations}
    return [[value(answer) for answer in by_id[task.id].answers] for task in tasks]


def graded_trials(
    tasks: Sequence[Task], trials: Sequence[Trial], fallback: Sequence[Evaluation], value: Value = is_right
) -> tuple[list[list[float]], int]:
    """The mean value of a question's answers over its trials, by passage; and how many adapters there were not.

    Where no adapter came of an edit the model as it was answers, as it would for a user; so it does for a passage
    without any edit.
    """
    base = graded(tasks, fallback, value)
    rows, missing = [], 0
    for index, task in enumerate(tasks):
        own: list[Trial | None] = [trial for trial in trials if trial.task_id == task.id]
        afters = [trial.after if trial is not None else None for trial in own or [None]]
        missing += afters.count(None)
        values = [[value(a) for a in after.answers] if after is not None else base[index] for after in afters]
        rows.append([fmean(column) for column in zip(*values, strict=True)])
    return rows, missing
