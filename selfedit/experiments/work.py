"""The work of a run, counted without doing it: edits, adapters, questions and tokens of each part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from selfedit.experiments.config import TrainConfig
from selfedit.experiments.data import RunData
from selfedit.experiments.kinds import kind_of
from selfedit.rewards import make_reward
from selfedit.search.stages import Stages
from selfedit.seeds import derive_seed
from selfedit.types import Recipe, SelfEdit, Task

# How long edits and answers get is not known beforehand.
_EDIT_TOKENS = 300
_TRAINED_OF_AN_EDIT = 1.3  # each line with its title
_ANSWER_TOKENS = 12


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
class _Source:
    """Where what is trained on comes from.

    Attributes:
        edited: from self-edits, and not from the passage alone.
        written: by a model, in this run; else they are read from a file.
    """

    name: str
    edited: bool = True
    written: bool = True


class WorkCounter:
    """Counts the parts of a run.

    Args:
        policies: the rounds of a training run whose policies are compared.
    """

    def __init__(self, config: TrainConfig, data: RunData, stages: Stages, policies: Sequence[int]) -> None:
        self._config, self._data, self._stages, self._policies = config, data, stages, policies
        self._kind = kind_of(config.domain)

    def training(self) -> list[Work]:
        """The parts of `train`, in their order."""
        outer, conditions = self._config.outer, self._config.evaluation.conditions
        work = self._baselines(self._data.validation) if self._data.validation else []
        if self._data.validation and ("own" in conditions or self._config.outer.gates):
            work.append(self._single(_Source("own edits, before RL"), self._data.validation))
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
                work.append(self._single(_Source(f"own edits, after round {number}"), self._data.validation))
        return work

    def comparing(self) -> list[Work]:
        """The parts of `eval`, regime by regime."""
        evaluation, tasks = self._config.evaluation, self._data.validation
        writers = [_Source("own edits, before RL")] if "own" in evaluation.conditions else []
        writers += [_Source(f"edits of {name}", written=False) for name in evaluation.edits_from]
        if "policy" in evaluation.conditions:
            writers += [_Source(f"own edits, after round {number}") for number in self._policies]
        work = []
        if "single" in evaluation.regimes:
            work += self._baselines(tasks)
            work += [self._single(writer, tasks) for writer in writers]
        alone = _Source("passage alone", edited=False, written=False)
        sources = [*([alone] if "passage" in evaluation.conditions else []), *writers]
        for count in evaluation.many if "many" in evaluation.regimes else ():
            work.append(self._asked(f"{count} passages, no update", tasks[:count]))
            work += [self._many(f"{count} passages, {source.name}", tasks[:count], source) for source in sources]
        if "sequential" in evaluation.regimes:
            name, share = f"{evaluation.sequences} sequences of {evaluation.sequence}", self._share
            asks = self._asked("", tasks)
            asked = (round(n * share) for n in (asks.questions, asks.written, asks.read))
            work.append(Work(f"{name}, no update", 0, 0, next(asked), 0, next(asked), next(asked)))
            work += [self._sequences(f"{name}, {source.name}", source) for source in sources]
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

    def _single(self, source: _Source, tasks: Sequence[Task]) -> Work:
        evaluation = self._config.evaluation
        adapters = evaluation.edits * evaluation.training_seeds
        return self._adapters(source.name, tasks, evaluation.edits if source.written else 0, adapters)

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

    def _many(self, what: str, tasks: Sequence[Task], source: _Source) -> Work:
        """One model a seed on all passages."""
        evaluation = self._config.evaluation
        edits = evaluation.edits if source.edited else 1
        seeds, epochs = evaluation.training_seeds, evaluation.many_training.epochs
        once = sum(self._tokens(task, source.edited, 1) for task in tasks) * edits
        if source.edited and not evaluation.keep_repeats:
            once -= sum(self._tokens(task, False, 1) for task in tasks) * (edits - 1)
        writes = self._written(tasks, edits if source.written else 0)
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

    def _sequences(self, what: str, source: _Source) -> Work:
        """Passages one after another; all so far are asked after each."""
        evaluation, tasks = self._config.evaluation, self._data.validation
        share = self._share
        one = self._adapters("", tasks, evaluation.edits if source.written else 0, 1, edited=source.edited)
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
        domain, longest = self._stages.domain, self._config.evaluation.max_answer_tokens
        questions = written = read = 0
        for task in tasks:
            for probe in task.probes:
                prompts = domain.inquiry(task, probe, with_context).prompts
                answer = _ANSWER_TOKENS if self._kind.has_passages else len(domain.gold(task, probe))
                questions += 1
                written += min(answer, longest) * len(prompts)
                # The question is read again to score the gold answer.
                read += sum(map(len, prompts)) + len(domain.question(task, probe, with_context))
        return Work(what, questions=questions, written=written, read=read)

    def _written(self, tasks: Sequence[Task], edits: int) -> Work:
        read = sum(len(self._stages.student.prompt(task)) for task in tasks) * edits
        return Work("", edits=edits * len(tasks), written=self._edit_tokens * edits * len(tasks), read=read)

    @property
    def _edit_tokens(self) -> int:
        return min(_EDIT_TOKENS, self._config.policy.max_edit_tokens)

    def _tokens(self, task: Task, edited: bool, epochs: int) -> int:
        """Training tokens of one adapter; a task that says itself how it is trained is taken by its fixed recipe."""
        recipe = self.unedited(task)
        if not self._kind.has_passages:
            return recipe.tokens_per_epoch * recipe.hyperparameters.epochs
        return round((recipe.tokens_per_epoch + edited * _TRAINED_OF_AN_EDIT * self._edit_tokens) * epochs)

    def unedited(self, task: Task) -> Recipe:
        """What is trained where nothing is written."""
        seed = self._config.seed
        blank = SelfEdit("plan", task.id, "none", "", "", derive_seed(seed, task.id, 0))
        return self._stages.domain.recipe(task, blank, self._config.inner.hyperparameters(), seed)
