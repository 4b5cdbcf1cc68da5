"""One YAML file is one run. Everything in it is checked before a model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from selfedit.domains import check_settings, load_domain
from selfedit.errors import UserError, nearest
from selfedit.experiments.groups import (
    DataSettings,
    EngineSettings,
    EvaluationSettings,
    OuterSettings,
    PolicySettings,
)
from selfedit.experiments.kinds import kind_of
from selfedit.experiments.shipped import FOLDER, find_config
from selfedit.files.disk import exists
from selfedit.models import DEFAULT_MODEL
from selfedit.models.wording import Wording, read_wording
from selfedit.release_0_1 import renamed
from selfedit.rewards import make_reward
from selfedit.settings import Asking, Composition, Settings, TrainingSettings
from selfedit.text.reading import decode, read_bytes


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
            asking=Asking(policy.spans, policy.wordings, policy.tries, policy.clozes),
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

    @property
    def chunk(self) -> int:
        """Adapters that are trained and recorded together."""
        # What full finetuning leaves is a whole model: no two are held at once.
        return 1 if self.inner.full else self.engine.chunk or 2 * self.engine.slots

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
