"""The data that flows through selfedit, in the order in which it flows. Frozen, standard library only.

Task -> SelfEdit -> Recipe -> Adapter -> Evaluation -> Rollout -> Version
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Probe:
    """A question asked without the context. Any one of `answers` is right; the first is the gold answer."""

    id: str
    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """Something to learn: a context with a title, and the probes that tell whether it was learnt."""

    id: str
    title: str
    context: str
    probes: tuple[Probe, ...] = ()


@dataclass(frozen=True)
class SelfEdit:
    """Finetuning data that a policy wrote for one task.

    `token_ids` and `logprobs` (natural log, one a token, under the distribution sampled from) are empty when
    the text came from a file. `attempts` counts the samples that were drawn until one could be used.
    """

    id: str
    task_id: str
    format: str
    prompt: str
    text: str
    seed: int
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    attempts: int = 1


@dataclass(frozen=True)
class Lesson:
    """One thing a self-edit teaches: a statement, or the answer to `question` where there is one."""

    text: str
    question: str = ""


@dataclass(frozen=True)
class Example:
    """One training sequence: token ids and, for each, whether predicting it bears loss (the first never can)."""

    tokens: tuple[int, ...]
    loss_mask: tuple[bool, ...]


@dataclass(frozen=True)
class LoraSpec:
    """The shape of an adapter, in PEFT's terms. `target_modules` is resolved as PEFT resolves it."""

    rank: int = 32
    alpha: float = 64.0
    dropout: float = 0.0
    rslora: bool = False
    target_modules: str | tuple[str, ...] = "all-linear"

    @property
    def scaling(self) -> float:
        """The factor on B @ A: alpha / rank, or alpha / sqrt(rank) with rank-stabilised LoRA (2312.03732)."""
        return self.alpha / (self.rank**0.5 if self.rslora else self.rank)


@dataclass(frozen=True)
class Hyperparameters:
    """How an adapter is trained. The defaults are the paper's for one passage (section 4.2, appendix B.2).

    One optimizer step sees `batch_size` times `gradient_accumulation` examples. `full` trains all weights of the model
    instead of an adapter, one recipe at a time.
    """

    lora: LoraSpec = field(default_factory=LoraSpec)
    learning_rate: float = 1e-3
    epochs: int = 10
    batch_size: int = 1
    gradient_accumulation: int = 1
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    full: bool = False


@dataclass(frozen=True)
class Recipe:
    """What the inner loop runs to make one adapter, from scratch or from where another one ended (`start`)."""

    id: str
    examples: tuple[Example, ...]
    hyperparameters: Hyperparameters
    seed: int
    start: Adapter | None = None

    @property
    def tokens_per_epoch(self) -> int:
        return sum(len(example.tokens) for example in self.examples)


@dataclass(frozen=True)
class LoraFactors:
    """The low-rank update of one layer: scaling * B_OR @ A_RI added to its weight."""

    a_RI: torch.Tensor
    b_OR: torch.Tensor


@dataclass(frozen=True)
class Adapter:
    """LoRA weights by module name, and the mean loss of each optimizer step that made them.

    After full finetuning there are no factors; `weights` are then the model's own, by parameter name.
    """

    recipe_id: str
    lora: LoraSpec
    factors: Mapping[str, LoraFactors]
    losses: tuple[float, ...] = ()
    weights: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What a grader says of one answer, and why."""

    correct: bool
    reason: str


@dataclass(frozen=True)
class Answer:
    """What a model answered to one probe. `gold_logprob` is the gold answer's mean log-probability a token."""

    probe_id: str
    text: str
    verdict: Verdict
    gold_logprob: float


@dataclass(frozen=True)
class Evaluation:
    """The answers of one model, adapted or not, to the probes of one task."""

    task_id: str
    grader: str
    answers: tuple[Answer, ...]

    @property
    def accuracy(self) -> float:
        """The share of right answers; 0 when there is no probe."""
        return sum(a.verdict.correct for a in self.answers) / max(1, len(self.answers))

    @property
    def gold_logprob(self) -> float:
        """The mean of the answers' `gold_logprob`; 0 when there is no probe."""
        return sum(a.gold_logprob for a in self.answers) / max(1, len(self.answers))


@dataclass(frozen=True)
class Rollout:
    """One self-edit with what became of it. `failure` says why there is no evaluation, where there is none."""

    edit: SelfEdit
    after: Evaluation | None = None
    losses: tuple[float, ...] = ()
    failure: str | None = None
    kept: bool = False


@dataclass(frozen=True)
class ModelRef:
    """A base model by name, and the hash of its weights and configuration."""

    name: str
    fingerprint: str


@dataclass(frozen=True)
class DocumentRef:
    """A document that a version learnt, by path, title and the hash of its bytes."""

    path: str
    title: str
    sha256: str


ProbeSource = Literal["file", "documents", "model"]
"""Who asked: a question file, questions that came with the documents, or the model itself."""


@dataclass(frozen=True)
class Version:
    """A committed update: what it was made of, how, and what it was worth.

    `before` and `after` are paired: the same probes, in the same order, asked of the base and of the adapter.
    """

    id: str
    created: str
    base: ModelRef
    documents: tuple[DocumentRef, ...]
    tasks: tuple[Task, ...]
    probe_source: ProbeSource
    probes_dropped: int
    settings: Mapping[str, Any]
    software: Mapping[str, str]
    rollouts: tuple[Rollout, ...]
    before: tuple[Evaluation, ...]
    after: tuple[Evaluation, ...]
    losses: tuple[float, ...]
    seconds: float
    adapter_sha256: str = ""
    parent: str | None = None

    @property
    def questions(self) -> int:
        return sum(len(evaluation.answers) for evaluation in self.before)

    @property
    def base_accuracy(self) -> float:
        """The share of all probes that the base answered rightly."""
        return _share_correct(self.before)

    @property
    def adapted_accuracy(self) -> float:
        """The share of all probes that the adapted model answered rightly."""
        return _share_correct(self.after)


def _share_correct(evaluations: tuple[Evaluation, ...]) -> float:
    verdicts = [answer.verdict.correct for evaluation in evaluations for answer in evaluation.answers]
    return sum(verdicts) / max(1, len(verdicts))
