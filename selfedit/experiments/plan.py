"""What a run would do, worked out without training: its work, its prompts, its memory and its time on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from selfedit.cost import RUNTIME_BYTES, activation_bytes, adapter_bytes, duration, matmul_rate, work_seconds
from selfedit.experiments.config import TrainConfig
from selfedit.experiments.data import RunData
from selfedit.experiments.kinds import kind_of
from selfedit.graders import make_grader
from selfedit.rewards import make_reward
from selfedit.seeds import derive_seed
from selfedit.settings import TrainingSettings
from selfedit.types import Probe, Recipe, SelfEdit, Task

if TYPE_CHECKING:
    from selfedit.models.load import BaseModel
    from selfedit.search.stages import Stages

# How long edits and answers get is not known beforehand.
_EDIT_TOKENS = 300
_TRAINED_OF_AN_EDIT = 1.3  # each line with its title
_ANSWER_TOKENS = 12
_MASTER_BYTES = 16 + 2  # a weight of full finetuning: fp32 master, gradient and moments, and a copy of the model


@dataclass(frozen=True)
class Work:
    """One part of a run. Tokens are estimates: trained in all epochs, written, and read."""

    what: str
    edits: int = 0
    adapters: int = 0
    questions: int = 0
    trained: int = 0
    written: int = 0
    read: int = 0


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
    """Counts what a run would do, by stages over a model without weights.

    Args:
        policies: the rounds of a training run whose policies are compared.
    """

    def __init__(
        self, config: TrainConfig, data: RunData, base: BaseModel, stages: Stages, policies: Sequence[int]
    ) -> None:
        self._config, self._data, self._base, self._stages, self._policies = config, data, base, stages, policies
        self._kind = kind_of(config.domain)

    def plan(self, kind: str, warnings: Sequence[str] = ()) -> Plan:
        """The plan of `train` or `eval`."""
        from selfedit.inner.memory import free_memory
        from selfedit.models.load import default_device

        work = tuple(self._training() if kind == "train" else self._comparing())
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

    def _training(self) -> list[Work]:
        """The parts of `train`, in their order."""
        outer, conditions = self._config.outer, self._config.evaluation.conditions
        work = self._baselines(self._data.validation) if self._data.validation else []
        if self._data.validation and ("own" in conditions or self._config.outer.gates):
            work.append(self._single("own edits, before RL", self._data.validation, True))
        for number, tasks in enumerate(self._data.rounds, 1):
            trained = outer.finalists or outer.edits if make_reward(outer.reward).needs_training else 0
            work.append(
                self._adapters(f"round {number}", tasks, outer.edits, trained * outer.training_seeds, before=True)
            )
            prompt = fmean(len(self._stages.student.prompt(task)) for task in tasks)
            examples = len(tasks) * outer.top_k
            tokens = round(examples * (prompt + self._edit_tokens) * outer.training.epochs)
            work.append(Work(f"policy of round {number}, from up to {examples} edits", adapters=1, trained=tokens))
            if self._data.validation and ("policy" in conditions or self._config.outer.gates):
                work.append(self._single(f"own edits, after round {number}", self._data.validation, True))
        return work

    def _comparing(self) -> list[Work]:
        """The parts of `eval`, regime by regime."""
        evaluation, tasks = self._config.evaluation, self._data.validation
        writers = ["own edits, before RL"] if "own" in evaluation.conditions else []
        writers += [f"edits of {name}" for name in evaluation.edits_from]
        if "policy" in evaluation.conditions:
            writers += [f"own edits, after round {number}" for number in self._policies]
        work = []
        if "single" in evaluation.regimes:
            work += self._baselines(tasks)
            work += [self._single(name, tasks, not name.startswith("edits of")) for name in writers]
        sources = [*(["passage alone"] if "passage" in evaluation.conditions else []), *writers]
        for count in evaluation.many if "many" in evaluation.regimes else ():
            work.append(self._asked(f"{count} passages, no update", tasks[:count]))
            work += [self._many(f"{count} passages, {name}", tasks[:count], name) for name in sources]
        if "sequential" in evaluation.regimes:
            name, share = f"{evaluation.sequences} sequences of {evaluation.sequence}", self._share
            asks = self._asked("", tasks)
            asked = (round(n * share) for n in (asks.questions, asks.written, asks.read))
            work.append(Work(f"{name}, no update", 0, 0, next(asked), 0, next(asked), next(asked)))
            work += [self._sequences(f"{name}, {source}", source) for source in sources]
        return work

    def _baselines(self, tasks: Sequence[Task]) -> list[Work]:
        conditions = self._config.evaluation.conditions
        work = [self._asked("no update", tasks)]
        if "in-context" in conditions:
            work.append(self._asked("in context", tasks, with_context=True))
        if "passage" in conditions:
            seeds = self._config.evaluation.training_seeds
            work.append(self._adapters("without self-edit", tasks, 0, seeds, edited=False))
        return work

    def _single(self, what: str, tasks: Sequence[Task], written: bool) -> Work:
        evaluation = self._config.evaluation
        adapters = evaluation.edits * evaluation.training_seeds
        return self._adapters(what, tasks, evaluation.edits if written else 0, adapters)

    def _adapters(
        self, what: str, tasks: Sequence[Task], edits: int, adapters: int, *, edited: bool = True, before: bool = False
    ) -> Work:
        """`edits` written and `adapters` trained and asked for each task; asked `before`, too, without update."""
        writes, asks = self._written(tasks, edits), self._asked("", tasks)
        epochs = self._config.inner.epochs
        trained = sum(self._tokens(task, edited, epochs) for task in tasks)
        times = adapters + before
        return Work(
            what,
            edits * len(tasks),
            adapters * len(tasks),
            asks.questions * times,
            trained * adapters,
            writes.written + asks.written * times,
            writes.read + asks.read * times,
        )

    def _many(self, what: str, tasks: Sequence[Task], source: str) -> Work:
        """One model a seed on all passages."""
        evaluation = self._config.evaluation
        own = source != "passage alone"
        edits = evaluation.edits if own else 1
        seeds, epochs = evaluation.training_seeds, evaluation.many_training.epochs
        once = sum(self._tokens(task, own, 1) for task in tasks) * edits
        if own and not evaluation.keep_repeats:
            once -= sum(self._tokens(task, False, 1) for task in tasks) * (edits - 1)
        writes = self._written(tasks, edits if own and not source.startswith("edits of") else 0)
        asks = self._asked("", tasks)
        return Work(
            what,
            writes.edits,
            seeds,
            asks.questions * seeds,
            once * epochs * seeds,
            writes.written + asks.written * seeds,
            writes.read + asks.read * seeds,
        )

    @property
    def _share(self) -> float:
        """Passages of all sequences, as a share of those of validation."""
        evaluation = self._config.evaluation
        return evaluation.sequence * evaluation.sequences / len(self._data.validation)

    def _sequences(self, what: str, source: str) -> Work:
        """Passages one after another; all so far are asked after each."""
        evaluation, tasks = self._config.evaluation, self._data.validation
        own = source != "passage alone"
        share = self._share
        one = self._adapters(
            "", tasks, evaluation.edits if own and not source.startswith("edits of") else 0, 1, edited=own
        )
        asks = self._asked("", tasks)
        times = share * (evaluation.sequence + 1) / 2
        return Work(
            what,
            round(one.edits * share),
            evaluation.sequence * evaluation.sequences,
            round(asks.questions * times),
            round(one.trained * share),
            round((one.written - asks.written) * share + asks.written * times),
            round((one.read - asks.read) * share + asks.read * times),
        )

    def _asked(self, what: str, tasks: Sequence[Task], with_context: bool = False) -> Work:
        domain = self._stages.domain
        pairs = [(task, probe) for task in tasks for probe in task.probes]
        read = sum(len(domain.question(task, probe, with_context)) for task, probe in pairs)
        answer = min(_ANSWER_TOKENS, self._config.evaluation.max_answer_tokens)
        # Each is read again to score the gold answer.
        return Work(what, questions=len(pairs), written=answer * len(pairs), read=2 * read)

    def _written(self, tasks: Sequence[Task], edits: int) -> Work:
        read = sum(len(self._stages.student.prompt(task)) for task in tasks) * edits
        return Work("", edits=edits * len(tasks), written=self._edit_tokens * edits * len(tasks), read=read)

    @property
    def _edit_tokens(self) -> int:
        return min(_EDIT_TOKENS, self._config.policy.max_edit_tokens)

    def _tokens(self, task: Task, edited: bool, epochs: int) -> int:
        """Training tokens of one adapter; a task that says itself how it is trained is taken by its fixed recipe."""
        recipe = self._unedited(task)
        if not self._kind.has_passages:
            return recipe.tokens_per_epoch * recipe.hyperparameters.epochs
        return round((recipe.tokens_per_epoch + edited * _TRAINED_OF_AN_EDIT * self._edit_tokens) * epochs)

    def _unedited(self, task: Task) -> Recipe:
        """What is trained where nothing is written."""
        seed = self._config.seed
        blank = SelfEdit("plan", task.id, "none", "", "", derive_seed(seed, task.id, 0))
        return self._stages.domain.recipe(task, blank, self._config.inner.hyperparameters(), seed)

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
        prompts["training without a self-edit, first sequence"] = shown(self._unedited(task).examples[0].tokens)
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
