"""Solves one few-shot task: write self-edits, choose one by leave-one-out, train on it, predict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from selfedit.domains.fewshot.choices import without_paraphrases
from selfedit.domains.fewshot.domain import FewshotDomain
from selfedit.domains.fewshot.problem import demonstrations_of, input_of, make_task
from selfedit.errors import UserError
from selfedit.files.journal import Unrecorded
from selfedit.graders.exact import ExactGrader
from selfedit.progress import Progress
from selfedit.search.evaluator import Evaluator, guessed
from selfedit.search.stages import Stages
from selfedit.search.step import Search
from selfedit.types import Hyperparameters, LoraSpec, Model, Rollout, SelfEdit, Task, Trial

TARGETS = ("q_proj", "v_proj", "gate_proj", "up_proj", "down_proj")
HYPERPARAMETERS = Hyperparameters(
    lora=LoraSpec(rank=128, alpha=16.0, target_modules=TARGETS), batch_size=2, schedule="cosine"
)
"""The paper's for this domain (appendix A). Learning rate and epochs are the self-edit's."""

_MAX_FOLDS = 3


@dataclass(frozen=True)
class Solution:
    """What was predicted for each of a task's inputs, after training on the chosen self-edit.

    Attributes:
        rollouts: a trial for each demonstration that was left out; none where there was nothing to choose.
        chosen: the place of the edit; None if none could be used, and nothing was predicted.
        guesses: at each output, the best first; one, unless the domain makes more.
        solved: whether a guess at every output is exactly right; None where an answer is not known.
    """

    task: Task
    rollouts: tuple[Rollout, ...]
    chosen: int | None
    guesses: tuple[tuple[str, ...], ...]
    solved: bool | None
    examples: int
    losses: tuple[float, ...]
    seconds: float

    @property
    def predictions(self) -> tuple[str, ...]:
        """The best guess at each output."""
        return tuple(made[0] for made in self.guesses)


class Solver:
    """Adapts one model to tasks, one by one: the search step on a task's demonstrations, without records.

    Args:
        domain: that of the stages, which predicts, too.
        slots: adapters trained at once.
    """

    def __init__(
        self,
        stages: Stages,
        domain: FewshotDomain,
        model: Model,
        progress: Progress,
        hyperparameters: Hyperparameters = HYPERPARAMETERS,
        slots: int = 8,
    ) -> None:
        self._stages, self._domain, self._model = stages, domain, model
        self._progress, self._hyperparameters = progress, hyperparameters
        self._search = Search(stages, Unrecorded(), progress, 2 * slots)

    def solve(self, task: Task, edits: int, seed: int) -> Solution:
        """Adapt to the task and predict. The known answers are looked at when all is done, to say `solved`."""
        started = time.monotonic()
        written = self._search.propose("", [task], edits, self._model, seed)
        failures = {
            failure.edit_id: failure
            for failure in self._search.check_edits("", [task], written, self._hyperparameters, seed)
        }
        usable = [edit for edit in written if edit.id not in failures]
        trials = self._held_out(task, usable, seed) if len(usable) > 1 else {}
        rollouts = tuple(
            Rollout(edit, trials.get(edit.id, (failures[edit.id],) if edit.id in failures else ())) for edit in written
        )
        if not usable:
            return Solution(task, rollouts, None, (), None, 0, (), time.monotonic() - started)
        chosen = max(
            (place for place, rollout in enumerate(rollouts) if rollout.edit.id not in failures),
            key=lambda place: (left_out_right(rollouts[place]), rollouts[place].gold_logprob, -place),
        )
        recipe = self._domain.recipe(task, written[chosen], self._hyperparameters, seed)
        update = self._search.train(recipe, self._model, "Training", "the self-edit's learning rate")
        guesses = self.predict(task, self._model.with_update(update))
        return Solution(
            task,
            rollouts,
            chosen,
            guesses,
            is_solved(task, guesses),
            len(recipe.examples),
            update.losses,
            time.monotonic() - started,
        )

    def predict(self, task: Task, model: Model | None = None) -> tuple[tuple[str, ...], ...]:
        """The guesses at each output, the best first, by an adapted model or by the bare one."""
        domain, generator = self._domain, self._stages.generator
        inquiries = [domain.inquiry(task, probe) for probe in task.probes]
        models = [model or self._model] * len(inquiries)
        with self._progress.bar("Predicting", sum(len(each.prompts) for each in inquiries), "outputs") as bar:
            made = guessed(generator, inquiries, models, domain.stop, self._longest(task), lambda _: bar.advance())
        return tuple(made)

    def _held_out(self, task: Task, edits: Sequence[SelfEdit], seed: int) -> dict[str, tuple[Trial, ...]]:
        """Train each edit without each of some demonstrations, and ask for it: the trials by edit."""
        folds = leave_one_out(task)
        jobs = {
            f"{place}.{number}": (edit, fold) for place, edit in enumerate(edits) for number, fold in enumerate(folds)
        }
        without = [replace(without_paraphrases(edit), id=name, task_id=fold.id) for name, (edit, fold) in jobs.items()]
        once = self._domain.looking_once()
        evaluator = Evaluator(self._stages.generator, once, ExactGrader(), self._longest(task))
        search = self._search.with_evaluator(evaluator)
        trials = search.evaluate_edits(
            "", folds, without, self._model, self._hyperparameters, (seed,), "Comparing self-edits"
        )
        of_edit: dict[str, tuple[Trial, ...]] = {edit.id: () for edit in edits}
        for trial in trials:
            edit, _ = jobs[trial.edit_id]
            if trial.after is not None:  # Else it takes more steps than are allowed, say.
                of_edit[edit.id] += (trial,)
        return of_edit

    def _longest(self, task: Task) -> int:
        """Tokens of a prediction: twice what the largest known output, or input to predict for, takes."""
        kind, pairs = demonstrations_of(task)
        values = [*(pair.output for pair in pairs), *(input_of(probe) for probe in task.probes)]
        return 2 * max(len(self._domain.written(kind, value)) for value in values) + 8


def left_out_right(rollout: Rollout) -> int:
    """Demonstrations predicted exactly when left out, of as many as `afters` has."""
    return sum(after.answers[0].verdict.correct for after in rollout.afters)


def leave_one_out(task: Task) -> list[Task]:
    """Tasks that ask for one of the demonstrations, each from all others; at most 3, and none of a single one."""
    kind, pairs = demonstrations_of(task)
    if len(pairs) < 2:
        return []
    return [
        make_task(
            f"{task.id}-{place}", task.title, kind, [*pairs[:place], *pairs[place + 1 :]], [(pair.input, pair.output)]
        )
        for place, pair in enumerate(pairs[:_MAX_FOLDS])
    ]


def is_solved(task: Task, guesses: Sequence[Sequence[str]]) -> bool | None:
    """Whether a guess at every output is exactly the gold one; None where one is not known."""
    if not all(probe.answers for probe in task.probes):
        return None
    return all(probe.answers[0] in made for made, probe in zip(guesses, task.probes, strict=True))


def check_window(domain: FewshotDomain, task: Task, window: int) -> None:
    """Raise UserError if the demonstrations and an input, with an output, are too long for the model."""
    kind, pairs = demonstrations_of(task)
    answer = max(len(domain.written(kind, pair.output)) for pair in pairs)
    longest = max(len(domain.question(task, probe)) for probe in task.probes)
    if longest + answer > window:
        raise UserError(
            f"Task {task.id} takes {longest + answer} tokens with its demonstrations, and the model's window is "
            f"{window}. Leave demonstrations out, or take a model with a longer window."
        )
