"""What all settings have in common: checked before anything is loaded, and unknown names answered by the nearest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from selfedit.errors import UserError, nearest
from selfedit.gates import Margins
from selfedit.generate import GENERATORS
from selfedit.graders import GRADERS
from selfedit.inner import INNER_LOOPS
from selfedit.models.prompt import PromptStyle
from selfedit.models.wording import Wording
from selfedit.policies.formats import get_format
from selfedit.rewards import make_reward
from selfedit.types import Hyperparameters, LoraSpec


def one_of(what: str, known: Iterable[str]) -> AfterValidator:
    """Checks a name against a registry; the nearest is suggested."""
    names = tuple(known)

    def check(value: str) -> str:
        if value not in names:
            raise UserError(f"Unknown {what} '{value}'. {nearest(value, names)}")
        return value

    return AfterValidator(check)


def _listed(value: Any) -> Any:
    """One value where a list is wanted is a list of it."""
    return value if value is None or isinstance(value, list | tuple) else [value]


Listed = BeforeValidator(_listed)
FormatName = Annotated[str, AfterValidator(lambda value: get_format(value).name)]
GraderName = Annotated[str, one_of("grader", GRADERS)]
RewardName = Annotated[str, AfterValidator(lambda value: make_reward(value).name)]
InnerLoopName = Annotated[str, one_of("inner loop", INNER_LOOPS)]
GeneratorName = Annotated[str, one_of("generator", GENERATORS)]


class Settings(BaseModel):
    """What all groups of settings have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TrainingSettings(Settings):
    """How adapters are trained. `rank` 32, `alpha` 64, learning rate 1e-3, 10 epochs, batch 1: the paper's."""

    rank: int = Field(default=32, ge=1)
    alpha: float = Field(default=64.0, gt=0)
    target_modules: str | tuple[str, ...] = "all-linear"
    learning_rate: float = Field(default=1e-3, gt=0)
    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=1, ge=1)
    gradient_accumulation: int = Field(default=1, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    rslora: bool = False
    full: bool = Field(default=False, description="train all weights instead of an adapter")
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_steps: int = Field(default=0, ge=0, description="steps in which the learning rate rises to its height")
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0, description="of each adapter's gradient")

    def hyperparameters(self) -> Hyperparameters:
        """The same as the engine takes it."""
        return Hyperparameters(
            lora=LoraSpec(self.rank, self.alpha, self.dropout, self.rslora, self.target_modules),
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            batch_size=self.batch_size,
            gradient_accumulation=self.gradient_accumulation,
            schedule=self.schedule,
            warmup_steps=self.warmup_steps,
            weight_decay=self.weight_decay,
            max_grad_norm=self.max_grad_norm,
            full=self.full,
        )


class MarginSettings(Settings):
    """What loss the gates put up with; `selfedit.gates.Margins` says why."""

    general: float = Field(default=Margins.general, ge=0, le=1)
    retained: float = Field(default=Margins.retained, ge=0, le=1)
    divergence: float = Field(default=Margins.divergence, ge=0)

    def margins(self) -> Margins:
        """The same as gates take it."""
        return Margins(self.general, self.retained, self.divergence)


@dataclass(frozen=True)
class Asking:
    """How much the answer-first policy asks: answers of each sentence, questions for each, attempts at each.

    `clozes` ask for what the model has no question for.
    """

    spans: int = 3
    wordings: int = 2
    tries: int = 2
    clozes: bool = True


@dataclass(frozen=True)
class Composition:
    """Which implementation of each stage, by name, and its settings.

    Attributes:
        format: of self-edits; one of the domain's.
        worked_example: show the model what a good one looks like.
        taught: whether a policy writes that was taught to, and not the bare model.
        prompt: `chat` by the tokenizer's template, `plain` text, or `auto`: chat where there is a template.
        wording: somebody's own words.
        asking: how much is asked in the format answer-first.
        attempts: samples for one edit, until it is accepted: `usable` and new, or only `readable`.
        training: what edits are trained with, by which it is known whether one can be used.
        slots, token_budget: adapters trained at once, and tokens of one training pass.
    """

    format: str
    domain: str = "knowledge"
    domain_settings: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    top_p: float = 0.95
    max_edit_tokens: int = 512
    constrained: bool = True
    worked_example: bool = True
    taught: bool = False
    prompt: PromptStyle = "auto"
    wording: Wording = field(default_factory=Wording)
    asking: Asking = field(default_factory=Asking)
    attempts: int = 1
    accept: Literal["usable", "readable"] = "usable"
    training: Hyperparameters = field(default_factory=Hyperparameters)
    grader: str = "match"
    max_answer_tokens: int = 64
    reward: str = "accuracy"
    inner_loop: str = "batched"
    generator: str = "batched"
    slots: int = 16
    token_budget: int = 1024
