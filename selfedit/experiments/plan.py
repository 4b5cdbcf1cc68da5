"""What a run would do, worked out without training: its work, its prompts, its memory and its time on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from selfedit.cost import RUNTIME_BYTES, activation_bytes, adapter_bytes, duration, matmul_rate, work_seconds
from selfedit.experiments.config import TrainConfig
from selfedit.experiments.data import RunData
from selfedit.experiments.work import Work, WorkCounter
from selfedit.graders import make_grader
from selfedit.settings import TrainingSettings
from selfedit.types import Probe

if TYPE_CHECKING:
    from selfedit.models.load import BaseModel
    from selfedit.search.stages import Stages

_MASTER_BYTES = 16 + 2  # a weight of full finetuning: fp32 master, gradient and moments, and a copy of the model


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        tasks: how many, by what for.
        prompts: the first of each kind as the model gets it, by what it is for.
        memory, free: bytes that the largest part needs on this machine's device, and that are free there.
        warnings: what does not forbid the run.
    """

    kind: str
    model: str
    parameters: int
    chat: bool
    tasks: Mapping[str, int]
    prompts: Mapping[str, str]
    work: tuple[Work, ...]
    memory: int
    free: int
    seconds: float
    gflops: float
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """All of it, by name."""
        return asdict(self)

    def as_text(self) -> str:
        """The same as lines for people, without the table of work."""
        lines = [
            f"model     {self.model}, {self.parameters / 1e6:.0f} million parameters, "
            f"{'chat' if self.chat else 'plain'} prompts",
            f"tasks     {', '.join(f'{count} {name}' for name, count in self.tasks.items())}",
            f"memory    about {self.memory / 1e9:.1f} GB, of {self.free / 1e9:.1f} GB free here",
            f"time      about {duration(self.seconds)} on this machine, at {self.gflops:.0f} GFLOP/s",
            *(f"warning   {warning}" for warning in self.warnings),
        ]
        return "\n".join(lines)


class Planner:
    """Says what a run would do, by stages over a model without weights.

    Args:
        policies: the rounds of a training run whose policies are compared.
    """

    def __init__(
        self, config: TrainConfig, data: RunData, base: BaseModel, stages: Stages, policies: Sequence[int]
    ) -> None:
        self._config, self._data, self._base, self._stages = config, data, base, stages
        self._counter = WorkCounter(config, data, stages, policies)

    def plan(self, kind: str, warnings: Sequence[str] = ()) -> Plan:
        """The plan of `train` or `eval`."""
        from selfedit.inner.memory import free_memory
        from selfedit.models.load import default_device

        work = tuple(self._counter.training() if kind == "train" else self._counter.comparing())
        sums = [sum(getattr(part, name) for part in work) for name in ("trained", "written", "read")]
        rate, _ = matmul_rate()
        tasks = {f"of round {number}": len(tasks) for number, tasks in enumerate(self._data.rounds, 1)}
        memory, free = self._memory(kind), free_memory(default_device())
        told = [*warnings]
        if memory > free:
            told.append(
                f"{free / 1e9:.1f} GB are free here, and about {memory / 1e9:.1f} GB would be used. The engine takes "
                "fewer slots and tokens a pass where it can; the weights, and all weights' training, must fit"
            )
        return Plan(
            kind,
            self._base.name,
            self._base.parameters,
            self._stages.prompter.chat,
            tasks | {"of validation": len(self._data.validation)},
            self._prompts(),
            work,
            memory,
            free,
            round(work_seconds(self._base.parameters, rate, *sums), 1),
            round(rate / 1e9, 1),
            tuple(told),
        )

    def _prompts(self) -> dict[str, str]:
        """The first prompt of each kind."""
        tasks = [*(task for tasks in self._data.rounds for task in tasks), *self._data.validation]
        task, domain = tasks[0], self._stages.domain
        prompts = {}

        def shown(tokens: Sequence[int]) -> str:
            return str(self._stages.prompter.tokenizer.decode(list(tokens)))

        if text := self._stages.student.prompt(task):
            prompts["writing a self-edit"] = shown(text)
        probe: Probe = task.probes[0]
        prompts["asking"] = shown(domain.question(task, probe))
        if "in-context" in self._config.evaluation.conditions:
            prompts["asking in context"] = shown(domain.question(task, probe, True))
        prompts["training without a self-edit, first sequence"] = shown(self._counter.unedited(task).examples[0].tokens)
        grader = make_grader(self._config.evaluation.grader, self._config.wording)
        if text_ := grader.shown(probe, "(the answer)"):
            prompts["judging"] = text_
        if text_ := self._stages.reward.shown(task, "(the self-edit)"):
            prompts["scoring a self-edit"] = text_
        return prompts

    def _memory(self, kind: str) -> int:
        """Bytes of the weights, and of what the largest training needs beside them."""
        from selfedit.multilora.model import layer_shapes, resolve_targets

        config = self._config
        trainings: list[tuple[TrainingSettings, int]] = []
        if kind == "train":
            trainings = [(config.inner, config.engine.slots), (config.outer.training, 1)]
        else:
            regimes = config.evaluation.regimes
            trainings += (
                [(config.inner, config.engine.slots if "single" in regimes else 1)] if regimes != ("many",) else []
            )
            trainings += [(config.evaluation.many_training, 1)] if "many" in regimes else []
        model, size = self._base.model, self._base.dtype.itemsize
        needs = [0]
        for training, slots in trainings:
            layers = resolve_targets(model, training.hyperparameters().lora.target_modules)
            widths = sum(sum(shape) for shape in layer_shapes(model, layers).values())
            adapters = adapter_bytes(training.rank, widths, slots)
            updated = _MASTER_BYTES * self._base.parameters if training.full else adapters
            needs.append(updated + activation_bytes(config.engine.token_budget, widths, size))
        return round(self._base.parameters * size + max(needs) + RUNTIME_BYTES)
