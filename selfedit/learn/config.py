"""What `selfedit learn` may be told, checked before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from selfedit.errors import UserError, nearest
from selfedit.gates import make_gate
from selfedit.guard import DEFAULT_GUARDS, GUARDS, check_languages, make_guard
from selfedit.imports import load_named
from selfedit.memory import DEFAULT_MEMORY, DEFAULT_ROUTER, MEMORIES, load_memory
from selfedit.policies.formats import ANSWER_FIRST
from selfedit.rules import DriftRules, Rules
from selfedit.settings import (
    Asking,
    Composition,
    FormatName,
    GeneratorName,
    GraderName,
    InnerLoopName,
    Listed,
    MarginSettings,
    RewardName,
    Settings,
    TrainingSettings,
)

DEFAULT_FORMAT = "rewrite"


DEFAULT_GATES = ("improved", "retained", "general", "divergence", "keep")

# One passage fits few weights, and small adapters are trained many at once. Of its few examples, batches of 4 make too
# few steps: 13 of 32 questions right against 22, and 28 at twice the rate (docs/lineage.md).
_SMALL = TrainingSettings(rank=8, alpha=16, learning_rate=4e-3, epochs=6, batch_size=2)
_LARGE = TrainingSettings(learning_rate=2e-3, epochs=8, batch_size=4)


def final_default(memory: str) -> TrainingSettings:
    """How a memory's adapters are trained unless the user says otherwise: those of one passage are small."""
    return _SMALL if load_memory(memory).routed else _LARGE


class LearnConfig(Settings):
    """What `selfedit learn` may be told."""

    edits: int = Field(default=1, ge=1, description="self-edits written for each passage; of several the best is kept")
    format: FormatName | None = Field(
        default=None,
        description="form of the self-edits; None: answer-first by a policy, rewrite without one",
    )
    policy: str | None = Field(
        default=None,
        description="what writes, and what adapters are trained on top of: a run's id, a PEFT folder, none; "
        "None: the one that comes with the model, if there is one",
    )
    edits_from: Path | None = Field(default=None, description="JSONL file of self-edits that something else wrote")
    questions: Path | None = Field(default=None, description="JSONL or SQuAD file of questions with answers")
    questions_per_passage: int = Field(default=5, ge=1, description="questions the model writes where none are given")
    passage_tokens: int = Field(default=64, ge=16, description="longest passage")
    spans: int = Field(default=3, ge=1, description="answer-first: answers taken from each sentence")
    wordings: int = Field(default=2, ge=1, description="answer-first: questions for each answer")
    tries: int = Field(default=2, ge=1, description="answer-first: at an answer that has no question yet")
    clozes: bool = Field(default=True, description="answer-first: ask for what has no question in its own sentence")
    budget: float | None = Field(default=None, gt=0, description="seconds; less is asked and trained where it is short")
    sentences: bool | None = Field(
        default=None,
        description="train on each sentence of a passage too; None: unless each is asked about, as in answer-first",
    )
    temperature: float = Field(default=0.5, gt=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_edit_tokens: int = Field(default=128, ge=1)
    max_answer_tokens: int = Field(default=64, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    grader: GraderName = "match"
    reward: RewardName = "accuracy"
    memory: str | None = Field(
        default=None, description=f"how old and new live together: {', '.join(MEMORIES)}; None: as before, or routed"
    )
    router: str = Field(default=DEFAULT_ROUTER, description="what chooses who answers, where adapters are routed")
    replay: float = Field(default=1.0, ge=0, description="old examples for each new one, in the memory `replay`")
    gates: Annotated[tuple[str, ...], Listed] = Field(
        default=DEFAULT_GATES, description="what a version has to pass; package.module:Class is one of your own"
    )
    margins: MarginSettings = MarginSettings()
    drift: DriftRules = Field(default=DriftRules(), description="most by which answers may drift, by the gate `drift`")
    keep: Path | None = Field(default=None, description="JSONL or SQuAD file of questions that are to stay right")
    guards: Annotated[tuple[str, ...], Listed] = Field(
        default=DEFAULT_GUARDS,
        description=f"what stops documents and self-edits before they are learnt: {', '.join(GUARDS)}",
    )
    allow_flagged: Annotated[tuple[str, ...], Listed] = Field(
        default=(), description="kinds of flags that are let through, by the names of their guards"
    )
    languages: Annotated[tuple[str, ...], Listed] = Field(
        default=(), description="codes of the languages that may be learnt; by default those of the store"
    )
    again: bool = Field(default=False, description="learn documents anew that are as they were when they were learnt")
    held_out: bool = Field(default=True, description="questions that choose among edits do not measure the version")
    keep_untested: bool | None = Field(
        default=None,
        description="learn passages that no question asks about, too; None: where each has one edit, as by default",
    )
    edit_training: TrainingSettings = TrainingSettings()
    final_training: TrainingSettings | None = Field(
        default=None, description="what is not said of it is as suits the memory"
    )
    inner_loop: InnerLoopName = Field(default="batched", description="what trains the adapters")
    generator: GeneratorName = Field(default="batched", description="what writes and answers")
    slots: int = Field(default=12, ge=1, description="adapters trained at once")
    token_budget: int = Field(default=1024, ge=16, description="tokens of one training pass")

    @model_validator(mode="after")
    def _possible(self) -> LearnConfig:
        for name in ("edit_training", "final_training"):
            if (training := getattr(self, name)) is not None and training.full:
                raise UserError(f"{name}.full: a version is an adapter. Full finetuning is for `selfedit eval`.")
        for gate in self.gates:
            make_gate(gate)
        for guard in self.guards:
            make_guard(guard)
        for kind in self.allow_flagged:
            if kind not in (*GUARDS, *self.guards):
                raise UserError(f"No flag is called '{kind}'. {nearest(kind, GUARDS)}")
        check_languages(self.languages)
        load_memory(self.memory or DEFAULT_MEMORY)
        if self.router != DEFAULT_ROUTER:
            from selfedit.routing import ROUTERS, Router  # Which takes its time.

            load_named(self.router, "router", ROUTERS, Router)
        return self

    def final(self, memory: str) -> TrainingSettings:
        """How the adapters of a memory are trained: as suits it, but for what `final_training` says."""
        suits, given = final_default(memory), self.final_training
        said = {name: getattr(given, name) for name in given.model_fields_set} if given is not None else {}
        return suits.model_copy(update=said)

    def record(self, memory: str) -> dict[str, Any]:
        """All settings as a version keeps them, those of its memory's training as they came to be."""
        return self.model_copy(update={"final_training": self.final(memory)}).model_dump(mode="json")

    @property
    def keeps_untested(self) -> bool:
        """Whether passages are learnt that no question asks about."""
        return self.edits == 1 if self.keep_untested is None else self.keep_untested

    @property
    def with_sentences(self) -> bool:
        """Whether each sentence of a passage is trained on by itself."""
        return self.format != ANSWER_FIRST if self.sentences is None else self.sentences

    @property
    def composition(self) -> Composition:
        """The stages that a run is composed of."""
        return Composition(
            format=self.format or DEFAULT_FORMAT,
            domain_settings={"sentences": self.with_sentences},
            temperature=self.temperature,
            top_p=self.top_p,
            max_edit_tokens=self.max_edit_tokens,
            asking=Asking(self.spans, self.wordings, self.tries, self.clozes),
            training=self.edit_training.hyperparameters(),
            grader=self.grader,
            max_answer_tokens=self.max_answer_tokens,
            reward=self.reward,
            inner_loop=self.inner_loop,
            generator=self.generator,
            slots=self.slots,
            token_budget=self.token_budget,
        )


def held_to(config: LearnConfig, rules: Rules) -> LearnConfig:
    """The settings with the gates, margins and guards that the rules of a store demand, where they are less strict."""
    demanded = rules.margins.given
    margins = {name: min(most, getattr(config.margins, name)) for name, most in demanded.items()}
    gates = (*config.gates, *(name for name in demanded if name not in config.gates))
    drift = {
        name: most if (own := getattr(config.drift, name)) is None else min(own, most)
        for name, most in rules.drift.model_dump(exclude_none=True).items()
    }
    gates = (*gates, "drift") if drift and "drift" not in gates else gates
    guards = dict.fromkeys((*(DEFAULT_GUARDS if rules.guard else ()), *config.guards))
    strict = {
        "gates": gates,
        "margins": config.margins.model_copy(update=margins),
        "drift": config.drift.model_copy(update=drift),
        "guards": tuple(guards),
    }
    return config.model_copy(update=strict)


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
