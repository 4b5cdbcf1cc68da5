"""Settings of a run, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from selfedit.errors import UserError, nearest
from selfedit.generate import GENERATORS
from selfedit.graders import GRADERS
from selfedit.inner import INNER_LOOPS
from selfedit.policies.formats import get_format
from selfedit.rewards import make_reward
from selfedit.types import Hyperparameters, LoraSpec

DEFAULT_FORMAT = "rewrite"


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

    def hyperparameters(self) -> Hyperparameters:
        """The same as the engine takes it."""
        return Hyperparameters(
            lora=LoraSpec(self.rank, self.alpha, self.dropout, self.rslora, self.target_modules),
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            batch_size=self.batch_size,
            gradient_accumulation=self.gradient_accumulation,
            schedule=self.schedule,
            full=self.full,
        )


class LearnConfig(Settings):
    """What `selfedit learn` may be told."""

    edits: int = Field(default=2, ge=1, description="self-edits written for each passage")
    format: FormatName = Field(default=DEFAULT_FORMAT, description="form of the self-edits")
    edits_from: Path | None = Field(default=None, description="JSONL file of self-edits that something else wrote")
    questions: Path | None = Field(default=None, description="JSONL or SQuAD file of questions with answers")
    questions_per_passage: int = Field(default=5, ge=1, description="questions the model writes where none are given")
    passage_tokens: int = Field(default=64, ge=16, description="longest passage")
    sentences: bool = Field(default=True, description="train on each sentence of a passage too")
    temperature: float = Field(default=0.5, gt=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_edit_tokens: int = Field(default=128, ge=1)
    max_answer_tokens: int = Field(default=64, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    grader: GraderName = "match"
    reward: RewardName = "accuracy"
    edit_training: TrainingSettings = TrainingSettings()
    final_training: TrainingSettings = TrainingSettings(learning_rate=2e-3, epochs=8, batch_size=4)
    inner_loop: InnerLoopName = Field(default="batched", description="what trains the adapters")
    generator: GeneratorName = Field(default="batched", description="what writes and answers")
    slots: int = Field(default=12, ge=1, description="adapters trained at once")
    token_budget: int = Field(default=1024, ge=16, description="tokens of one training pass")


def learn_config(**settings: Any) -> LearnConfig:
    """A checked `LearnConfig`.

    Raises:
        UserError: a setting is unknown or out of bounds; the first one is named.
    """
    unknown = settings.keys() - LearnConfig.model_fields.keys()
    if unknown:
        name = sorted(unknown)[0]
        raise UserError(f"Unknown setting '{name}'. {nearest(name, LearnConfig.model_fields)}")
    try:
        return LearnConfig(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"Setting '{where}' is {first['input']!r}: {first['msg'].lower()}.") from None
