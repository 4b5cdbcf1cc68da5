"""What a run recorded, read back for reports without disturbing it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, TypeVar

from selfedit.experiments.kinds import kind_of
from selfedit.experiments.policies import PolicyNode, PolicyTree
from selfedit.experiments.runs.folder import RunFacts, RunFolder
from selfedit.experiments.runs.stages import Source, Stage, round_stage
from selfedit.files.journal import Journal, read_records
from selfedit.files.serialize import decode, encode
from selfedit.release_0_1 import upgraded_round, upgraded_task
from selfedit.report import ACCURACY, GOLD_LOGPROB, Measure
from selfedit.search.keys import Kind, RecordKey
from selfedit.types import Answer, Evaluation, Rollout, SelfEdit, Task, Trial

T = TypeVar("T")


@dataclass(frozen=True)
class RoundRecord:
    """One round as it was recorded; its rollouts' trials are records of their own.

    `policy_sha256` is empty where the policy was left as it was; else `policy` says which one came of it. Release 0.1
    did not record the latter: each of its policies lies on the one before.
    """

    number: int
    rollouts: tuple[Rollout, ...]
    policy_sha256: str
    policy_losses: tuple[float, ...]
    note: str = ""
    policy: PolicyNode | None = None


def decode_round(raw: dict[str, Any], policies: PolicyTree) -> RoundRecord:
    """A round as the journal has it, after the rounds before it."""
    record = decode(RoundRecord, encode(upgraded_round(raw)))
    if record.policy is not None or not record.policy_sha256:
        return record
    name = str(round_stage(record.number))
    return replace(record, policy=PolicyNode(name, policies.newest, record.policy_sha256, record.number))


def get_round(journal: Journal, number: int, policies: PolicyTree) -> RoundRecord | None:
    """A round that ended, from a run that is under way."""
    raw = journal.get("round", str(round_stage(number)), dict[str, Any])
    return decode_round(raw, policies) if raw is not None else None


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
        self._domain_names = dict(kind_of(str(self.facts.config["domain"])).names)

    def get(self, kind: str, key: str, type_: type[T]) -> T | None:
        """The value recorded last under `kind` and `key`, or None."""
        if (kind, key) not in self._records:
            return None
        if (kind, key) not in self._decoded:
            self._decoded[kind, key] = decode(type_, encode(self._records[kind, key]))
        value: T = self._decoded[kind, key]
        return value

    def tasks(self, key: str) -> tuple[Task, ...]:
        """The passages of a round ('r1') or of validation ('v'); none if it did not come to them."""
        return tuple(map(upgraded_task, self.get("tasks", key, tuple[Task, ...]) or ()))

    def rounds(self) -> list[RoundRecord]:
        """The rounds that ended."""
        rounds: list[RoundRecord] = []
        policies = PolicyTree()
        while (raw := self._records.get(("round", str(round_stage(len(rounds) + 1))))) is not None:
            rounds.append(decode_round(raw, policies))
            node = rounds[-1].policy
            policies = policies if node is None else policies.add(node)
        return rounds

    @property
    def policies(self) -> PolicyTree:
        """The policies of the rounds that ended."""
        return PolicyTree(tuple(record.policy for record in self.rounds() if record.policy is not None))

    def trials(self, stage: str) -> list[Trial]:
        """All trials of a stage: those whose edit could not be used, then chunk by chunk."""
        trials: list[Trial] = []
        key = RecordKey("trials", stage, chunk="failed")
        while (chunk := self.get("trials", str(key), tuple[Trial, ...])) is not None or key.chunk == "failed":
            trials += chunk or ()
            key = replace(key, chunk=0 if key.chunk == "failed" else (key.chunk or 0) + 1)
        if self.keys("work"):  # Workers end in any order, on which no figure is to hang.
            trials.sort(key=lambda trial: (trial.edit_id, str(trial.seed)))
        return trials

    def is_complete(self, key: str) -> bool:
        """Whether every edit about the validation passages under a key was tried with every training seed."""
        edits = {edit.id for edit in self.edits(key)}
        if key == "passage":
            edits = {f"passage.{task.id}" for task in self.tasks("v")}
        trials = self.trials(key)
        # An edit that cannot be used is recorded once a seed, too.
        seeds = int(self.facts.config["evaluation"]["training_seeds"])
        return {trial.edit_id for trial in trials} == edits and len(trials) == len(edits) * seeds

    def edits(self, stage: str) -> tuple[SelfEdit, ...]:
        """The self-edits of a stage."""
        whole = self.get("edits", stage, tuple[SelfEdit, ...])
        if whole is not None:  # Release 0.1 recorded a stage's edits all at once.
            return whole
        keys = [RecordKey.parse("edits", text) for text in self.keys("edits")]
        # Tasks are recorded as they end; a stage's are those of its round, or of validation.
        order = {task.id: place for place, task in enumerate(self.tasks(stage) or self.tasks("v"))}
        ours = sorted((k for k in keys if k.stage == stage and k.task), key=lambda key: order.get(key.task, 0))
        parts = (self.get("edits", str(key), tuple[SelfEdit, ...]) for key in ours)
        return tuple(edit for part in parts for edit in part or ())

    def edit_sources(self) -> list[tuple[str, str]]:
        """Who wrote edits about the validation passages: a stage of `edits` and `trials`, and what reports call it."""
        stages = [Stage("single", Source("validation", number)) for number in range(len(self.rounds()) + 1)]
        stages += [s for s in self.stages("edits") if s.source is not None and s.source.kind in ("file", "policy")]
        singles = dict.fromkeys(str(stage) for stage in stages if stage.regime == "single")
        return [(name, self.name(name)) for name in singles if self.edits(name)]

    def name(self, source: str) -> str:
        """What reports call a condition: no update, asking in context, or who wrote the edits."""
        parsed = Source.parse(source)
        names = {"base": "no update", "v0": "own edits, before RL"} | self._domain_names
        if source in names or parsed is None:
            return names.get(source, source)
        return f"edits of {parsed.name}" if parsed.kind == "file" else f"own edits, after round {parsed.number}"

    def stages(self, kind: Kind | Literal["sequence"]) -> list[Stage]:
        """The stages of which anything is recorded under a kind, in the order of recording."""
        texts = self.keys(kind) if kind == "sequence" else [RecordKey.parse(kind, key).stage for key in self.keys(kind)]
        return [stage for text in dict.fromkeys(texts) if (stage := Stage.parse(text)) is not None]

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


def graded_by_seed(
    tasks: Sequence[Task], trials: Sequence[Trial], fallback: Sequence[Evaluation], value: Value = is_right
) -> list[list[list[float]]]:
    """As `graded_trials`, once for each training seed."""
    seeds = dict.fromkeys(trial.seed for trial in trials)
    return [graded_trials(tasks, [t for t in trials if t.seed == seed], fallback, value)[0] for seed in seeds]


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
