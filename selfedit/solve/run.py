"""Solves one few-shot task: write self-edits, choose a recipe by leave-one-out, train by it, predict."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from selfedit.domains.fewshot.choices import without_paraphrases
from selfedit.domains.fewshot.domain import FewshotDomain
from selfedit.domains.fewshot.problem import demonstrations_of, input_of
from selfedit.errors import UserError
from selfedit.files.journal import Unrecorded
from selfedit.graders.exact import ExactGrader
from selfedit.progress import Progress
from selfedit.search.evaluator import Evaluator, guessed
from selfedit.search.stages import Stages
from selfedit.search.step import Search
from selfedit.solve.leave_one_out import FIXED, Choice, choose, leave_one_out, useless
from selfedit.types import Hyperparameters, LoraSpec, Model, Recipe, Rollout, SelfEdit, Task, Trial

TARGETS = ("q_proj", "v_proj", "gate_proj", "up_proj", "down_proj")
HYPERPARAMETERS = Hyperparameters(
    lora=LoraSpec(rank=128, alpha=16.0, target_modules=TARGETS), batch_size=2, schedule="cosine"
)
"""The paper's for this domain (appendix A). Learning rate and epochs are the self-edit's."""


@dataclass(frozen=True)
class Solution:
    """What was predicted for each of a task's inputs, after training by the chosen recipe.

    Attributes:
        rollouts: the fixed recipe, if it was set beside the model's self-edits, and these; with a trial for each
            demonstration that was left out, and none where there was nothing to choose.
        choice: which of them was taken, and why; None if none could be used, and nothing was predicted.
        guesses: at each output, the best first; one, unless the domain makes more.
    """

    task: Task
    rollouts: tuple[Rollout, ...]
    choice: Choice | None
    guesses: tuple[tuple[str, ...], ...]
    examples: int
    losses: tuple[float, ...]
    seconds: float

    @property
    def chosen(self) -> int | None:
        """The place of the recipe that was taken."""
        return self.choice.place if self.choice is not None else None

    @property
    def predictions(self) -> tuple[str, ...]:
        """The best guess at each output."""
        return tuple(made[0] for made in self.guesses)

    @property
    def right(self) -> tuple[bool | None, ...]:
        """Whether a guess at each output is exactly right; None where the answer is not known."""
        return marks(self.task, self.guesses) if self.guesses else ()

    @property
    def solved(self) -> bool | None:
        """Whether all outputs are right; None where an answer is not known, or nothing was predicted."""
        return is_solved(self.task, self.guesses) if self.guesses else None


class Solver:
    """Adapts one model to tasks, one by one: the search step on a task's demonstrations, without records.

    Args:
        domain: that of the stages, which predicts, too.
        model: what writes self-edits, is trained and predicts: a base, perhaps with a policy in its weights.
        slots: adapters trained at once.
        compare_tokens: training tokens of an adapter that leave-one-out compares; 0 for as many as at the end.
    """

    def __init__(
        self,
        stages: Stages,
        domain: FewshotDomain,
        model: Model,
        progress: Progress,
        hyperparameters: Hyperparameters = HYPERPARAMETERS,
        slots: int = 8,
        compare_tokens: int = 0,
    ) -> None:
        self._stages, self._domain, self._model = stages, domain, model
        self._progress, self._hyperparameters = progress, hyperparameters
        self._max_adapters, self._compare_tokens = 2 * slots, compare_tokens
        self._search = Search(stages, Unrecorded(), progress, self._max_adapters)

    def solve(self, task: Task, edits: int, seed: int, *, fixed: bool = True) -> Solution:
        """Adapt to the task and predict. The known answers are only looked at to mark the predictions.

        Args:
            edits: self-edits that the model writes; 0 for the fixed recipe alone.
            fixed: set the fixed recipe beside them. Where nothing can be compared it is taken, and none is written.
        """
        started = time.monotonic()
        folds = leave_one_out(task)
        is_written = edits > 0 and (bool(folds) or not fixed)
        written = self._search.propose("", [task], edits, self._model, seed) if is_written else []
        candidates = [*([SelfEdit(f"{task.id}.fixed", task.id, FIXED, "", "", seed)] if fixed else []), *written]
        recipes, failures = self._recipes(task, candidates, seed)
        usable = [edit for edit in candidates if edit.id in recipes]
        trials = self._held_out(task, folds, usable, seed) if len(usable) > 1 else {}
        rollouts = tuple(Rollout(edit, failures.get(edit.id, trials.get(edit.id, ()))) for edit in candidates)
        choice = choose(rollouts)
        if choice is None:
            return Solution(task, rollouts, None, (), 0, (), time.monotonic() - started)
        recipe = recipes[candidates[choice.place].id]
        update = self._search.train(recipe, self._model, "Training", "the self-edit's learning rate")
        guesses = self.predict(task, self._model.with_update(update))
        seconds = time.monotonic() - started
        return Solution(task, rollouts, choice, guesses, len(recipe.examples), update.losses, seconds)

    def _recipes(
        self, task: Task, edits: Sequence[SelfEdit], seed: int
    ) -> tuple[dict[str, Recipe], dict[str, tuple[Trial, ...]]]:
        """What is worth being tried, by edit; and for each other edit a trial that says why it is not."""
        recipes: dict[str, Recipe] = {}
        failures: dict[str, tuple[Trial, ...]] = {}
        fixed: Recipe | None = None
        for edit in edits:
            try:
                recipe = self._domain.recipe(task, edit, self._hyperparameters, seed)
                failure = useless(recipe, fixed) if fixed is not None else None
            except ValueError as error:
                failure = str(error)
            if failure is not None:
                failures[edit.id] = (Trial(edit.id, task.id, seed, failure=failure),)
                continue
            recipes[edit.id] = recipe
            if edit.format == FIXED:
                fixed = recipe
        return recipes, failures

    def predict(self, task: Task, model: Model | None = None) -> tuple[tuple[str, ...], ...]:
        """The guesses at each output, the best first, by an adapted model or by the bare one."""
        domain, generator = self._domain, self._stages.generator
        inquiries = [domain.inquiry(task, probe) for probe in task.probes]
        models = [model or self._model] * len(inquiries)
        with self._progress.bar("Predicting", sum(len(each.prompts) for each in inquiries), "outputs") as bar:
            made = guessed(generator, inquiries, models, domain.stop, self._longest(task), lambda _: bar.advance())
        return tuple(made)

    def _held_out(
        self, task: Task, folds: Sequence[Task], edits: Sequence[SelfEdit], seed: int
    ) -> Mapping[str, tuple[Trial, ...]]:
        """Train each edit without each of some demonstrations, all at once, and ask for it: the trials by edit."""
        jobs = {
            f"{place}.{number}": (edit, fold) for place, edit in enumerate(edits) for number, fold in enumerate(folds)
        }
        without = [replace(without_paraphrases(edit), id=name, task_id=fold.id) for name, (edit, fold) in jobs.items()]
        cheap = self._domain.cheaply(self._compare_tokens)
        evaluator = Evaluator(self._stages.generator, cheap, ExactGrader(), self._longest(task))
        stages = replace(self._stages, domain=cheap, evaluator=evaluator)
        search = Search(stages, Unrecorded(), self._progress, self._max_adapters)
        trials = search.evaluate_edits(
            "", folds, without, self._model, self._hyperparameters, (seed,), "Comparing recipes"
        )
        of_edit: dict[str, tuple[Trial, ...]] = {edit.id: () for edit in edits}
        for trial in trials:
            edit, _ = jobs[trial.edit_id]
            of_edit[edit.id] += (trial,)
        return of_edit

    def _longest(self, task: Task) -> int:
        """Tokens of a prediction: twice what the largest known output, or input to predict for, takes."""
        kind, pairs = demonstrations_of(task)
        values = [*(pair.output for pair in pairs), *(input_of(probe) for probe in task.probes)]
        return 2 * max(len(self._domain.written(kind, value)) for value in values) + 8


def marks(task: Task, guesses: Sequence[Sequence[str]]) -> tuple[bool | None, ...]:
    """Whether a guess at each output is exactly the gold one; None where that is not known."""
    return tuple(
        probe.answers[0] in made if probe.answers else None for made, probe in zip(guesses, task.probes, strict=True)
    )


def is_solved(task: Task, guesses: Sequence[Sequence[str]]) -> bool | None:
    """Whether a guess at every output is exactly the gold one; None where one is not known."""
    right = marks(task, guesses)
    return None if None in right else all(right)


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
