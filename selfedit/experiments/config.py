"""One YAML file is one run. Everything in it is checked before a model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from selfedit.domains import check_settings, load_domain
from selfedit.errors import UserError, nearest
from selfedit.experiments.kinds import kind_of
from selfedit.experiments.shipped import FOLDER, find_config
from selfedit.files.disk import exists
from selfedit.gates import make_gate
from selfedit.memory import load_memory
from selfedit.models import DEFAULT_MODEL
from selfedit.models.prompt import PromptStyle
from selfedit.models.wording import Wording, read_wording
from selfedit.release_0_1 import renamed
from selfedit.rewards import make_reward
from selfedit.search.selection import Ties
from selfedit.settings import (
    Composition,
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
from selfedit.text.reading import decode, read_bytes

CONDITIONS = ("base", "in-context", "passage", "own", "policy")
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
    inner_loop: InnerLoopName = "batched"
    generator: GeneratorName = "batched"
    tracking: Literal["tensorboard", "trackio"] | None = Field(default=None, description="where figures are shown")


class TrainConfig(Settings):
    """What `selfedit train` and `selfedit eval` may be told."""

    model: str = DEFAULT_MODEL
    domain: str = Field(default="knowledge", description="knowledge, fewshot, or package.module:Class of your own")
    domain_settings: dict[str, Any] = Field(default={}, description="of the domain, by name")
    seed: int = Field(default=0, ge=0, lt=2**31)
    published: str = Field(default="", description="a table of published figures, set beside ours in the report")
    data: DataSettings
    policy: PolicySettings = PolicySettings()
    inner: TrainingSettings = TrainingSettings()
    outer: OuterSettings = OuterSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    engine: EngineSettings = EngineSettings()

    @property
    def wording(self) -> Wording:
        """The words of `policy.prompts`; ours where there is no such file.

        Raises:
            UserError: the file is missing or wrong, or words a format that the domain has not.
        """
        if self.policy.prompts is None:
            return Wording()
        wording, formats = read_wording(self.policy.prompts), load_domain(self.domain).formats
        for name in wording.writing:
            if name not in formats:
                raise UserError(f"{self.policy.prompts}: unknown format '{name}'. {nearest(name, formats)}")
        return wording

    @property
    def composition(self) -> Composition:
        """The stages that a run is composed of."""
        policy, evaluation, engine = self.policy, self.evaluation, self.engine
        return Composition(
            format=policy.format,
            domain=self.domain,
            domain_settings={**kind_of(self.domain).domain_settings, **self.domain_settings},
            temperature=policy.temperature,
            top_p=policy.top_p,
            max_edit_tokens=policy.max_edit_tokens,
            constrained=policy.constrained,
            attempts=policy.attempts,
            worked_example=policy.worked_example,
            taught=policy.start != "none",
            prompt=policy.prompt,
            wording=self.wording,
            accept=policy.accept,
            training=self.inner.hyperparameters(),
            grader=evaluation.grader,
            max_answer_tokens=evaluation.max_answer_tokens,
            reward=self.outer.reward,
            inner_loop=engine.inner_loop,
            generator=engine.generator,
            slots=engine.slots,
            token_budget=engine.token_budget,
        )

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, raw: Any) -> Any:
        """The domain's format and grader where none is named."""
        if not isinstance(raw, dict):
            return raw
        raw = renamed(raw)
        groups = [raw.get(key, {}) for key in ("policy", "evaluation", "domain_settings")]
        if not all(isinstance(group, dict) for group in groups):
            return raw  # pydantic says what is wrong with it.
        policy, evaluation, domain_settings = groups
        name = str(raw.get("domain", "knowledge"))
        domain = load_domain(name)
        check_settings(name, domain_settings)
        format_ = str(policy.get("format") or domain.default_format)
        if format_ not in domain.formats:
            hint = nearest(format_, domain.formats)
            raise UserError(f"Unknown format '{format_}' (policy.format) of the domain '{name}'. {hint}")
        return raw | {
            "policy": policy | {"format": format_},
            "evaluation": {"grader": kind_of(name).default_grader} | evaluation,
        }

    @model_validator(mode="after")
    def _possible(self) -> TrainConfig:
        evaluation = self.evaluation
        for name, training in (("inner", self.inner), ("evaluation.many_training", evaluation.many_training)):
            if training.full and self.engine.inner_loop == "peft":
                raise UserError(f"engine.inner_loop: 'peft' trains LoRA only; leave {name}.full out.")
        for name, reward in (("reward", self.outer.reward), ("screen", self.outer.screen)):
            if reward is not None and make_reward(reward).needs_passage and not kind_of(self.domain).has_passages:
                raise UserError(f"outer.{name}: '{reward}' reads passages, and tasks of '{self.domain}' have none.")
        joint = {"many", "sequential"} & set(evaluation.regimes)
        if joint and not kind_of(self.domain).joint:
            raise UserError(f"evaluation.regimes: tasks of '{self.domain}' do not share a model; leave only single.")
        if self.inner.full and "sequential" in evaluation.regimes and evaluation.memory != "merge":
            raise UserError(f"evaluation.memory: '{evaluation.memory}' works with adapters; inner.full needs 'merge'.")
        if self.engine.generator == "vllm" and "sequential" in evaluation.regimes:
            raise UserError("engine.generator: 'vllm' does not see what is merged, which 'sequential' needs.")
        if self.policy.format == "none" and (self.outer.rounds > 0 or evaluation.edits_from):
            raise UserError("policy.format 'none' writes nothing: name a format, or set outer.rounds to 0.")
        if self.policy.format == "entigraph" and self.outer.rounds > 0:
            raise UserError("policy.format 'entigraph' is a baseline, which no policy learns: set outer.rounds to 0.")
        seeds = evaluation.sequence_seeds
        if seeds is not None and evaluation.sequences % len(seeds):
            raise UserError(
                f"evaluation.sequences is {evaluation.sequences}: it must be a multiple of the {len(seeds)} seeds in "
                "evaluation.sequence_seeds."
            )
        starts = self.data.starts
        if starts is not None and len(starts) < self.outer.rounds:
            raise UserError(f"data.starts names {len(starts)} rounds, and outer.rounds is {self.outer.rounds}.")
        return self


def load_config(path: Path, overrides: tuple[str, ...] = ()) -> TrainConfig:
    """Read a configuration; paths in it are looked for beside the file, in the folders above it, and here.

    Args:
        overrides: `key=value` with dots for groups, as `outer.edits=3`; the value is YAML.

    Raises:
        UserError: the file or an override is wrong; the key is named, and the nearest where it is unknown.
    """
    path = find_config(path)
    try:
        raw = yaml.safe_load(decode(read_bytes(path), path))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict) or not all(isinstance(key, str) for key in raw):
        raise UserError(f"{path} is not a configuration: it needs keys such as 'data' and 'outer'.")
    for override in overrides:
        _override(raw, override)
    try:
        config = TrainConfig(**raw)
    except ValidationError as error:
        raise UserError(f"{path}: {_explain(error)}") from None
    return _with_paths(config, path.resolve().parent)


def _override(raw: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {override}: write it as key=value, as in --set outer.edits=3.")
    *groups, last = key.strip().split(".")
    place: Any = raw
    for group in groups:
        place = place.setdefault(group, {})
        if not isinstance(place, dict):
            raise UserError(f"--set {override}: '{group}' is not a group of settings.")
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"--set {override}: the value is not YAML.") from None


def _explain(error: ValidationError) -> str:
    """The first thing wrong, in one line."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        group: Any = TrainConfig
        for part in first["loc"][:-1]:
            group = group.model_fields[part].annotation
        return f"unknown key '{where}'. {nearest(str(first['loc'][-1]), group.model_fields)}"
    if first["type"] == "missing":
        return f"'{where}' is missing."
    return f"'{where}' is {first['input']!r}: {first['msg'].lower()}."


def _with_paths(config: TrainConfig, folder: Path) -> TrainConfig:
    """The same with files that were found."""

    def find(path: Path | None) -> Path | None:
        if path is None or path.is_absolute():
            return path
        file = str(path).partition("#")[0]  # Behind it stands a key within the file.
        for parent in (folder, *folder.parents, Path.cwd(), FOLDER.parent):  # A copy finds what came with it.
            if exists(parent / file):
                return parent / path
        return path

    data = config.data.model_copy(
        update={name: find(getattr(config.data, name)) for name in ("train", "validation", "validation_index")}
    )
    edits_from = {name: find(path) for name, path in config.evaluation.edits_from.items()}
    evaluation = config.evaluation.model_copy(update={"edits_from": edits_from})
    policy = config.policy.model_copy(update={"prompts": find(config.policy.prompts)})
    found = config.model_copy(update={"data": data, "evaluation": evaluation, "policy": policy})
    _ = found.wording  # Says here what is wrong with it.
    return found
