"""The groups of settings in a configuration, each checked by itself; `config.py` has the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from selfedit.errors import UserError
from selfedit.executors import EXECUTORS
from selfedit.gates import make_gate
from selfedit.memory import load_memory
from selfedit.models.prompt import PromptStyle
from selfedit.rewards import make_reward
from selfedit.search.selection import Ties
from selfedit.settings import (
    GeneratorName,
    GraderName,
    InnerLoopName,
    Listed,
    MarginSettings,
    RewardName,
    Settings,
    TrainingSettings,
    one_of,
)

CONDITIONS = ("base", "in-context", "passage", "own", "policy")
ExecutorName = Annotated[str, one_of("executor", EXECUTORS)]
ConditionName = Annotated[str, one_of("condition", CONDITIONS)]
MemoryName = Annotated[str, AfterValidator(lambda value: load_memory(value) and value)]


class DataSettings(Settings):
    """Passages with questions. Files are SQuAD JSON, or JSONL rows of `context`, `questions` and perhaps `title`."""

    train: Path | None = Field(default=None, description="`train` needs it, `eval` does not read it")
    validation: Path | None = None
    contexts: int = Field(default=50, ge=1, description="passages of one round")
    starts: Annotated[tuple[Annotated[int, Field(ge=0)], ...] | None, Listed] = Field(
        default=None, description="first passage of each round; else in a row"
    )
    validation_contexts: int = Field(default=200, ge=1)
    validation_index: Path | None = Field(default=None, description="JSON list: which passages, in which order")
    questions: int | None = Field(default=None, ge=1, description="at most so many of each passage")
    shuffle: int | None = Field(default=None, ge=0, description="seed of an order in which both files are taken")


class PolicySettings(Settings):
    """How self-edits are sampled; temperature 1.0 and top-p 0.95 in the paper."""

    format: str = Field(default="", description="how edits are written; the domain's own default if not given")
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_edit_tokens: int = Field(default=512, ge=1)
    start: str = Field(
        default="none", description="what the first round begins from: none, bundled, a run's id or a PEFT folder"
    )
    constrained: bool = Field(default=True, description="sample only what is valid, where the format has a schema")
    attempts: int = Field(default=1, ge=1, description="samples for one edit, until it is accepted")
    accept: Literal["usable", "readable"] = Field(default="usable", description="usable and new, or only of its form")
    prompt: PromptStyle = Field(default="auto", description="chat template or plain text, for writing and asking")
    prompts: Path | None = Field(default=None, description="YAML file of one's own wording (models/wording.py)")
    worked_example: bool = Field(default=True, description="show the writer what a good edit looks like")
    spans: int = Field(default=3, ge=1, description="answer-first: answers taken from each sentence")
    wordings: int = Field(default=2, ge=1, description="answer-first: questions for each answer")
    tries: int = Field(default=2, ge=1, description="answer-first: at an answer that has no question yet")
    clozes: bool = Field(default=False, description="answer-first: ask for what has no question in its own sentence")


class OuterSettings(Settings):
    """The rounds. The defaults are the paper's (section 4.2, appendix B): rank 64, learning rate 3e-4, batch 10."""

    algorithm: str = Field(default="rest-em", description="rest-em, or package.module:Class of your own")
    margins: MarginSettings = MarginSettings()
    gates: Annotated[tuple[str, ...], Listed] = Field(
        default=(), description="what a new policy has to pass on the validation passages: better, or your own"
    )
    rounds: int = Field(default=2, ge=0)
    edits: int = Field(default=5, ge=1, description="K, self-edits for each passage")
    training_seeds: int = Field(default=3, ge=1, description="S, adapters trained on each")
    # Ranks edits more reliably than accuracy does (docs/experiments.md); the paper's is accuracy.
    reward: RewardName = "logprob"
    screen: str | None = Field(default=None, description="a reward without training that chooses the finalists")
    finalists: int | None = Field(default=None, ge=1, description="edits of each passage that are trained")
    top_k: int = Field(default=1, ge=1, description="edits of each passage that the policy learns from")
    ties: Ties = Field(default="likelihood", description="which of equally rewarded edits is the better one")
    must_beat_base: bool = Field(default=True, description="only from edits with more reward than no update")
    min_reward: float | None = Field(default=None, description="and only from edits with at least this reward")
    inner_from: Literal["policy", "base"] = Field(default="policy", description="what adapters are trained on")
    training: TrainingSettings = TrainingSettings(rank=64, alpha=128.0, learning_rate=3e-4, epochs=2, batch_size=10)

    @model_validator(mode="after")
    def _possible(self) -> OuterSettings:
        if self.training.full:
            raise UserError("outer.training.full: the policy is finetuned with LoRA; inner.full is for the edits.")
        if self.top_k > self.edits:
            raise UserError(f"outer.top_k is {self.top_k}, but only {self.edits} edits are written (outer.edits).")
        if (self.screen is None) != (self.finalists is None):
            raise UserError("outer.screen and outer.finalists go together: give both or neither.")
        if self.screen is not None and make_reward(self.screen).needs_training:
            raise UserError(f"outer.screen is '{self.screen}', which needs training; 'rubric' does not.")
        for gate in self.gates:
            make_gate(gate)
        if self.finalists is not None and not self.top_k <= self.finalists <= self.edits:
            raise UserError(f"outer.finalists is {self.finalists}: it must be between top_k and edits.")
        return self


class EvaluationSettings(Settings):
    """What is compared on the validation passages."""

    conditions: Annotated[tuple[ConditionName, ...], Listed] = CONDITIONS
    edits_from: dict[str, Path] = Field(default={}, description="name: JSONL file of self-edits")
    regimes: Annotated[tuple[Literal["single", "many", "sequential"], ...], Listed] = Field(
        default=("single",), min_length=1
    )
    many: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Listed] = Field(
        default=(200,), min_length=1, description="passages in one adapter, one run each"
    )
    edits: int = Field(default=1, ge=1, description="self-edits for each passage, each an adapter")
    training_seeds: int = Field(default=1, ge=1)
    sequence: int = Field(default=8, ge=2, description="passages of one sequence")
    sequences: int = Field(default=4, ge=1)
    sequence_seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...] | None, Listed] = Field(
        default=None, min_length=1, description="draw the sequences at random, as many with each seed; else in a row"
    )
    memory: MemoryName = Field(default="merge", description="of sequences: how old and new passages live together")
    replay: float = Field(default=1.0, ge=0, description="old examples for each new one, in the memory `replay`")
    many_training: TrainingSettings = TrainingSettings(epochs=3, batch_size=4, gradient_accumulation=2)
    keep_repeats: bool = Field(
        default=False, description="in one model, train on a sequence as often as edits say it; the passage, too"
    )
    policy_rounds: Annotated[tuple[Annotated[int, Field(ge=1)], ...] | None, Listed] = Field(
        default=None, description="which policies of a training run are compared; else all"
    )
    max_answer_tokens: int = Field(default=64, ge=1)
    grader: GraderName = "learned"


class EngineSettings(Settings):
    """How fast and how shown, not what."""

    slots: int = Field(default=24, ge=1, description="adapters trained at once")
    token_budget: int = Field(default=1024, ge=16, description="tokens of one training pass")
    executor: ExecutorName = Field(default="local", description="where adapters are trained: local, processes or ray")
    workers: int | None = Field(default=None, ge=1, description="of processes or ray; by default one a GPU")
    chunk: int | None = Field(
        default=None, ge=1, description="adapters trained and recorded together; by default twice the slots"
    )
    inner_loop: InnerLoopName = "batched"
    generator: GeneratorName = "batched"
    tracking: Literal["tensorboard", "trackio"] | None = Field(default=None, description="where figures are shown")
