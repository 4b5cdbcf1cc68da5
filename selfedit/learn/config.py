"""What `selfedit learn` may be told, checked before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from selfedit.errors import UserError, nearest
from selfedit.gates import make_gate
from selfedit.settings import (
    Composition,
    FormatName,
    GeneratorName,
    GraderName,
    InnerLoopName,
    Listed,
    RewardName,
    Settings,
    TrainingSettings,
)

DEFAULT_FORMAT = "rewrite"


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
    gates: Annotated[tuple[str, ...], Listed] = Field(
        default=("better",), description="what a version has to pass: better, or package.module:Class of your own"
    )
    keep_untested: bool = Field(default=False, description="learn passages that no question asks about, too")
    edit_training: TrainingSettings = TrainingSettings()
    final_training: TrainingSettings = TrainingSettings(learning_rate=2e-3, epochs=8, batch_size=4)
    inner_loop: InnerLoopName = Field(default="batched", description="what trains the adapters")
    generator: GeneratorName = Field(default="batched", description="what writes and answers")
    slots: int = Field(default=12, ge=1, description="adapters trained at once")
    token_budget: int = Field(default=1024, ge=16, description="tokens of one training pass")

    @model_validator(mode="after")
    def _possible(self) -> LearnConfig:
        for name in ("edit_training", "final_training"):
            if getattr(self, name).full:
                raise UserError(f"{name}.full: a version is an adapter. Full finetuning is for `selfedit eval`.")
        for gate in self.gates:
            make_gate(gate)
        return self

    @property
    def composition(self) -> Composition:
        """The stages that a run is composed of."""
        return Composition(
            format=self.format,
            domain_settings={"sentences": self.sentences},
            temperature=self.temperature,
            top_p=self.top_p,
            max_edit_tokens=self.max_edit_tokens,
            training=self.edit_training.hyperparameters(),
            grader=self.grader,
            max_answer_tokens=self.max_answer_tokens,
            reward=self.reward,
            inner_loop=self.inner_loop,
            generator=self.generator,
            slots=self.slots,
            token_budget=self.token_budget,
        )


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
