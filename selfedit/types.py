"""The data that flows through selfedit, in the order in which it flows. Frozen, standard library only.

Task -> SelfEdit -> Recipe -> Adapter -> Evaluation -> Trial -> Rollout -> Group -> Version
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch


Grid = tuple[tuple[int, ...], ...]
"""Rows of colours, 0 to 9; never ragged."""

Value = Grid | str
"""What a demonstration maps from and to."""


@dataclass(frozen=True)
class Demonstration:
    """An input with its output."""

    input: Value
    output: Value


@dataclass(frozen=True)
class Demonstrations:
    """What a few-shot task is to be learnt from."""

    kind: Literal["grid", "text"]
    pairs: tuple[Demonstration, ...]


Content = str | Demonstrations
"""What the domain of a task understands: a passage, or demonstrations. A domain of other things adds its type here."""


@dataclass(frozen=True)
class Probe:
    """A question asked without the context. Any one of `answers` is right; the first is the gold answer.

    `input` is what is asked where it is not a question in words, which then only shows it.
    """

    id: str
    question: str
    answers: tuple[str, ...]
    input: Value | None = field(default=None, repr=False)  # Not in a hash that release 0.1 made of tasks' text form.


@dataclass(frozen=True)
class Task:
    """Something to learn: a context with a title, and the probes that tell whether it was learnt."""

    id: str
    title: str
    context: Content
    probes: tuple[Probe, ...] = ()

    @property
    def passage(self) -> str:
        """The context, where it is a passage.

        Raises:
            TypeError: it is something else, which the caller does not understand.
        """
        if not isinstance(self.context, str):
            raise TypeError(f"task {self.id} has {type(self.context).__name__} and no passage")
        return self.context


@dataclass(frozen=True)
class SelfEdit:
    """Finetuning data that a policy wrote for one task.

    `token_ids` and `logprobs` (natural log, one a token, under the distribution sampled from) are empty when
    the text came from a file. `attempts` counts the samples that were drawn until one could be used; `dropped` are
    parts that were written and left out, each with the reason.
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
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lesson:
    """One thing a self-edit teaches: a statement, or the answer to `question` where there is one."""

    text: str
    question: str = ""


@dataclass(frozen=True)
class Teacher:
    """What another model would say instead of an example's tokens: a sparse distribution for each of them.

    `ids` and `probabilities` have one tuple a token, of any length; an empty one leaves the token itself as the target.
    """

    ids: tuple[tuple[int, ...], ...]
    probabilities: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Example:
    """One training sequence: token ids and, for each, the weight of predicting it (the first never is predicted).

    A weight of 0 bears no loss; a negative one makes the token less likely, as policy gradients do. Where there is a
    teacher, the loss is the cross-entropy to it, whose gradient is that of the forward KL divergence.
    """

    tokens: tuple[int, ...]
    weights: tuple[float, ...]
    teacher: Teacher | None = None

    @classmethod
    def completion(cls, prompt: tuple[int, ...], written: tuple[int, ...]) -> Example:
        """What is to be written after a prompt, which bears no loss."""
        return cls(prompt + written, (0.0,) * len(prompt) + (1.0,) * len(written))


UPPER_HALF = "upper-half"
"""All linear layers of the upper half of a decoder: target modules by a name of ours, beside PEFT's `all-linear`."""


@dataclass(frozen=True)
class LoraSpec:
    """The shape of an adapter, in PEFT's terms. `target_modules` is resolved as PEFT resolves it, or `UPPER_HALF`."""

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
    start: Update | None = None

    @property
    def tokens_per_epoch(self) -> int:
        return sum(len(example.tokens) for example in self.examples)


@dataclass(frozen=True)
class LoraFactors:
    """The low-rank update of one layer: scaling * B_OR @ A_RI added to its weight."""

    a_RI: torch.Tensor
    b_OR: torch.Tensor


@dataclass(frozen=True, eq=False)
class Adapter:
    """LoRA weights by module name, and the mean loss of each optimizer step that made them.

    `fan_in_fan_out` says whether the adapted layers are transformers' Conv1D, as in GPT-2. No two are equal but the
    same one: comparing weights is `update_sha256`'s.
    """

    recipe_id: str
    lora: LoraSpec
    factors: Mapping[str, LoraFactors]
    losses: tuple[float, ...] = ()
    fan_in_fan_out: bool = False


@dataclass(frozen=True, eq=False)
class FullWeights:
    """What came of full finetuning: all of the model's weights, by parameter name."""

    recipe_id: str
    weights: Mapping[str, torch.Tensor]
    losses: tuple[float, ...] = ()


Update = Adapter | FullWeights
"""What training makes of a model."""


@dataclass(frozen=True)
class ModelRef:
    """A base model by name, and the hash of its weights and configuration."""

    name: str
    fingerprint: str


@dataclass(frozen=True)
class Model:
    """What a stage runs on: a base, what was merged into it, and perhaps an adapter on top.

    A value that means the same in another process, as long as the base of that fingerprint is loaded there. Merged
    updates are part of the weights, in the base's own precision, as the paper has it after each round and each
    sequential edit; the adapter on top is exact. How both come about for a pass is the engine's business.
    """

    base: ModelRef
    merged: tuple[Update, ...] = ()
    adapter: Adapter | None = None

    def merge(self, *updates: Update) -> Model:
        """The model with more updates in its weights.

        Raises:
            ValueError: there is an adapter on top, which would then lie below.
        """
        if updates and self.adapter is not None:
            raise ValueError(f"{updates[0].recipe_id} cannot be merged below the adapter {self.adapter.recipe_id}")
        return replace(self, merged=(*self.merged, *updates))

    def with_update(self, update: Update) -> Model:
        """The model under an update, an adapter on top where it is one.

        Raises:
            ValueError: there is an adapter on top already.
        """
        if isinstance(update, FullWeights):
            return self.merge(update)
        if self.adapter is not None:
            raise ValueError(f"{update.recipe_id} cannot lie on the adapter {self.adapter.recipe_id}: merge that first")
        return replace(self, adapter=update)

    @property
    def updates(self) -> tuple[Update, ...]:
        """All of them, in their order."""
        return self.merged if self.adapter is None else (*self.merged, self.adapter)


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


def pooled(evaluations: Sequence[Evaluation]) -> Evaluation:
    """All answers as those of one task."""
    answers = tuple(answer for evaluation in evaluations for answer in evaluation.answers)
    return Evaluation("all", evaluations[0].grader if evaluations else "", answers)


@dataclass(frozen=True)
class Trial:
    """One adapter: trained on one self-edit with one seed, and asked. `failure` says why there are no answers.

    Attributes:
        general_change: by how much more likely it makes the gold answers to general questions, in nats a token; None
            where they were not asked.
    """

    edit_id: str
    task_id: str
    seed: int
    adapter_sha256: str = ""
    losses: tuple[float, ...] = ()
    after: Evaluation | None = None
    failure: str | None = None
    general_change: float | None = None


@dataclass(frozen=True)
class Rollout:
    """One self-edit with what became of it.

    Attributes:
        trials: the adapters trained on it, one a training seed; none where its reward needs no training.
        rewards: what each adapter that came out sound is worth, or the edit itself where none is needed.
        base_reward: what no update is worth by the same reward; None where the reward cannot say.
        kept: whether it is learnt from.
    """

    edit: SelfEdit
    trials: tuple[Trial, ...] = ()
    rewards: tuple[float, ...] = ()
    base_reward: float | None = None
    kept: bool = False

    @property
    def reward(self) -> float | None:
        """The mean of `rewards`, without the last digits, by which a mean of equal numbers differs from each."""
        return round(fmean(self.rewards), 12) if self.rewards else None

    @property
    def afters(self) -> tuple[Evaluation, ...]:
        """What the adapters that came out sound answered."""
        return tuple(trial.after for trial in self.trials if trial.after is not None)

    @property
    def gold_logprob(self) -> float:
        """The mean over `afters`; minus infinity where there are none."""
        return fmean(after.gold_logprob for after in self.afters) if self.afters else float("-inf")

    @property
    def failure(self) -> str | None:
        """Why no adapter could be asked; None if one could, or if none was tried."""
        return None if self.afters or not self.trials else self.trials[0].failure

    @property
    def losses(self) -> tuple[float, ...]:
        """Of the first adapter that came out sound."""
        return next((trial.losses for trial in self.trials if trial.after is not None), ())


@dataclass(frozen=True)
class Group:
    """All self-edits of one task with all that is known of them: what a reward sees.

    `before` is what the model that the adapters were trained on answered without any update.
    """

    task: Task
    before: Evaluation
    rollouts: tuple[Rollout, ...]


CORRECTIONS = "feedback/"
"""How the paths of documents begin that are no files, but what somebody said."""


@dataclass(frozen=True)
class DocumentRef:
    """A document that a version learnt, by path, title and the hash of its bytes."""

    path: str
    title: str
    sha256: str

    @property
    def is_correction(self) -> bool:
        """Whether it is no file, but what somebody said of an answer; its title is the question.

        A file in a folder of that name has the hash of its bytes, and not of its path.
        """
        return self.path.startswith(CORRECTIONS) and self.sha256 == hashlib.sha256(self.path.encode()).hexdigest()


@dataclass(frozen=True)
class Learnt:
    """A passage as a version knows it.

    Attributes:
        task: the passage, with the questions that were asked about it when it was learnt.
        edits: what of the self-edits is trained on, without the records of their sampling.
        seed: of that training, so that it can be done again alike.
        adapter: the hash of the adapter that holds it; several passages may share one.
        policy: the hash of the policy that this adapter was trained on top of; empty for the bare base.
        version: the id of the version that learnt it; empty until that is committed.
    """

    document: DocumentRef
    task: Task
    edits: tuple[SelfEdit, ...]
    seed: int = 0
    adapter: str = ""
    policy: str = ""
    version: str = ""


@dataclass(frozen=True)
class Knowledge:
    """All that a version knows, and by which adapters: what a memory makes of what was known before and what is new.

    Attributes:
        memory: the strategy by which old and new live together; empty in stores of earlier releases.
        learnt: the passages, in the order in which they were learnt.
    """

    memory: str = ""
    learnt: tuple[Learnt, ...] = ()

    @property
    def adapters(self) -> tuple[str, ...]:
        """The hashes of all adapters, each once, in the order in which they were trained."""
        return tuple(dict.fromkeys(item.adapter for item in self.learnt))

    @property
    def weights(self) -> frozenset[str]:
        """The hashes of all that answering takes: adapters, and the policies that they lie on."""
        return frozenset(name for item in self.learnt for name in (item.adapter, item.policy) if name)

    @property
    def documents(self) -> tuple[DocumentRef, ...]:
        """Each once, in the order in which they were learnt."""
        return tuple(dict.fromkeys(item.document for item in self.learnt))


@dataclass(frozen=True)
class Flag:
    """Why a text waits for a person instead of being learnt.

    Attributes:
        kind: the guard that stopped it.
        where: the id of the document or self-edit.
        title: of the document, and its `path`.
        excerpt: what was found, as one line that no terminal acts on, secrets cut short.
    """

    kind: str
    where: str
    title: str
    path: str
    excerpt: str
    why: str


@dataclass(frozen=True)
class GateFigure:
    """What one gate saw: its name, whether it let the update through, and its figures in words."""

    gate: str
    passed: bool
    text: str


@dataclass(frozen=True)
class DriftFigures:
    """How a model answers the fixed set of prompts.

    Attributes:
        of: the base, a version as `ask` routes it, or one whose only adapter is always on.
        moved: how many prompts are answered by something else than the base.
        divergence: KL(base || model) along each prompt and the base's answer to it, nats a token, the mean over
            prompts; None where the generator cannot say.
        declined: the share of answers with words of declining, of the prompts that a careful model declines.
        declined_plain: and of the others.
        words: of an answer, the mean.
        repeats: the share of answers in which three words in a row come twice.
    """

    of: Literal["base", "routed", "always on"]
    prompts: int
    moved: int
    divergence: float | None
    declined: float
    declined_plain: float
    words: float
    repeats: float


Action = Literal["learn", "forget", "consolidate", "feedback"]
"""What made a version."""

ProbeSource = Literal["file", "documents", "model", "feedback"]
"""Who asked: a question file, questions that came with the documents, the model itself, or people who saw answers."""


@dataclass(frozen=True)
class Version:
    """A committed update: what it was made of, how, and what it was worth.

    Documents, tasks and rollouts are what was new in it; `knowledge` is all that it knows. `before` and `after` are
    paired: the same probes about what was new, in the same order, asked before the update and after it.

    Attributes:
        adapter_sha256: the hash of its weights: of the adapter's file or, of several adapters, of their hashes.
        parent: the version that it builds on; None if that is the base.
        gates: what the gates saw.
        scale: by which the update was made weaker to pass them; 1 where it was not.
        rejected: why it was not committed but kept aside; empty if it was.
        flags: what a person should look at before it takes effect.
        approved_by: who let it take effect; empty where nobody had to.
        feedback: the ids of the feedback that was new in it.
        drift: how it answers the fixed set of prompts, and how the base does; empty where that was not measured.
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
    action: Action = "learn"
    knowledge: Knowledge = field(default_factory=Knowledge)
    gates: tuple[GateFigure, ...] = ()
    scale: float = 1.0
    rejected: str = ""
    flags: tuple[Flag, ...] = ()
    approved_by: str = ""
    feedback: tuple[str, ...] = ()
    drift: tuple[DriftFigures, ...] = ()

    @property
    def questions(self) -> int:
        return sum(len(evaluation.answers) for evaluation in self.before)

    @property
    def base_accuracy(self) -> float:
        """The share of all probes that the base answered rightly."""
        return pooled(self.before).accuracy

    @property
    def adapted_accuracy(self) -> float:
        """The share of all probes that the adapted model answered rightly."""
        return pooled(self.after).accuracy
