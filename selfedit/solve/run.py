"""Solves one few-shot task: write self-edits, choose one by leave-one-out, train on it, predict."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from selfedit.domains.fewshot import augment
from selfedit.domains.fewshot.choices import without_paraphrases
from selfedit.domains.fewshot.domain import FewshotDomain, asked_value
from selfedit.domains.fewshot.problem import Pair, make_task, read_context
from selfedit.domains.fewshot.values import Kind, Value
from selfedit.errors import UserError
from selfedit.generate.base import Generator, Request
from selfedit.graders.exact import ExactGrader
from selfedit.inner.base import InnerLoop
from selfedit.policies.base import Policy
from selfedit.progress import Progress
from selfedit.search.evaluator import Evaluator
from selfedit.search.training import train_all
from selfedit.types import Adapter, Hyperparameters, LoraSpec, Recipe, SelfEdit, Task

TARGETS = ("q_proj", "v_proj", "gate_proj", "up_proj", "down_proj")
HYPERPARAMETERS = Hyperparameters(
    lora=LoraSpec(rank=128, alpha=16.0, target_modules=TARGETS), batch_size=2, schedule="cosine"
)
"""The paper's for this domain (appendix A). Learning rate and epochs are the self-edit's."""

_MOST_FOLDS = 3


@dataclass(frozen=True)
class Attempt:
    """One self-edit with what leave-one-out on the demonstrations says of it.

    Attributes:
        failure: why it cannot be trained on; None if it can.
        right: demonstrations predicted exactly when left out, of `asked`; 0 of 0 if there was nothing to choose.
        logprob: the left-out outputs' mean log-probability a token.
    """

    edit: SelfEdit
    failure: str | None = None
    right: int = 0
    asked: int = 0
    logprob: float = 0.0


@dataclass(frozen=True)
class Solution:
    """What was predicted for each of a task's inputs, after training on the chosen attempt's edit.

    Attributes:
        solved: whether every prediction is exactly right; None where an answer is not known.
        chosen: the attempt's place; None if no edit could be used, and nothing was predicted.
    """

    task: Task
    attempts: tuple[Attempt, ...]
    chosen: int | None
    predictions: tuple[str, ...]
    solved: bool | None
    examples: int
    losses: tuple[float, ...]
    seconds: float


class Solver:
    """Adapts one model to tasks, one by one.

    Args:
        vote: look at a task of grids in all rigid ways, and let the predictions vote.
    """

    def __init__(
        self,
        domain: FewshotDomain,
        policy: Policy,
        inner: InnerLoop,
        generator: Generator,
        progress: Progress,
        hyperparameters: Hyperparameters = HYPERPARAMETERS,
        vote: bool = False,
    ) -> None:
        self._domain, self._policy, self._inner, self._generator = domain, policy, inner, generator
        self._progress, self._hyperparameters = progress, hyperparameters
        self._vote = vote

    def solve(self, task: Task, edits: int, seed: int) -> Solution:
        """Adapt to the task and predict. The known answers are looked at when all is done, to say `solved`."""
        started = time.monotonic()
        with self._progress.bar("Writing self-edits", edits, "edits") as bar:
            written = self._policy.propose([task], edits, seed, lambda _: bar.advance())
        attempts: list[Attempt] = []
        recipes: dict[int, Recipe] = {}
        for place, edit in enumerate(written):
            try:
                recipes[place] = self._domain.recipe(task, edit, self._hyperparameters, seed)
                attempts.append(Attempt(edit))
            except ValueError as error:
                attempts.append(Attempt(edit, str(error)))
        usable = list(recipes)
        if len(usable) > 1:
            for place, held_out in zip(usable, self._held_out(task, [written[i] for i in usable], seed), strict=True):
                attempts[place] = held_out
        if not usable:
            return Solution(task, tuple(attempts), None, (), None, 0, (), time.monotonic() - started)
        chosen = max(usable, key=lambda place: (attempts[place].right, attempts[place].logprob, -place))
        (adapter,) = train_all(self._inner, [recipes[chosen]], "Training", self._progress).values()
        predictions = self.predict(task, adapter)
        return Solution(
            task,
            tuple(attempts),
            chosen,
            predictions,
            is_solved(task, predictions),
            len(recipes[chosen].examples),
            adapter.losses,
            time.monotonic() - started,
        )

    def predict(self, task: Task, adapter: Adapter | None = None) -> tuple[str, ...]:
        """The text of each predicted output, by the adapted model or by the bare one."""
        kind, pairs = read_context(task.context)
        views = (augment.IDENTITY, *augment.RIGID) if self._vote and kind.name == "grid" else (augment.IDENTITY,)
        requests, undo = [], []
        for probe in task.probes:
            for view in views:
                look = _through(view, kind)
                shown = tuple(Pair(look(pair.input), look(pair.output)) for pair in pairs)
                prompt = self._domain.prompt(kind, shown, look(asked_value(kind, probe)))
                name = adapter.recipe_id if adapter is not None else None
                requests.append(Request(prompt, name, self._longest(task), stop=kind.stop))
                undo.append(view.inverse)
        named = {adapter.recipe_id: adapter} if adapter is not None else {}
        with self._progress.bar("Predicting", len(requests), "outputs") as bar:
            written = self._generator.generate(requests, named, lambda *_: bar.advance())
        texts = [self._read(kind, completion.text, back) for completion, back in zip(written, undo, strict=True)]
        ballots = [texts[i : i + len(views)] for i in range(0, len(texts), len(views))]
        return tuple(_most_common([text for text in b if kind.read(text) is not None] or b) for b in ballots)

    def _held_out(self, task: Task, edits: Sequence[SelfEdit], seed: int) -> list[Attempt]:
        """Train each edit without each of some demonstrations, and ask for it: all adapters at once."""
        folds = leave_one_out(task)
        jobs = [
            (edit, fold, f"{place}.{number}") for place, edit in enumerate(edits) for number, fold in enumerate(folds)
        ]
        recipes = []
        for edit, fold, name in jobs:
            try:
                recipe = self._domain.recipe(fold, without_paraphrases(edit), self._hyperparameters, seed)
            except ValueError:  # As more steps than are allowed.
                continue
            recipes.append(replace(recipe, id=name))
        adapters = train_all(self._inner, recipes, "Comparing self-edits", self._progress)
        asked = [(edit, fold, name) for edit, fold, name in jobs if name in adapters]
        evaluator = Evaluator(self._generator, self._domain, ExactGrader(), self._longest(task))
        evaluations = evaluator.evaluate([(fold, name) for _, fold, name in asked], adapters)
        found = []
        for edit in edits:
            mine = [
                evaluation for (other, _, _), evaluation in zip(asked, evaluations, strict=True) if other.id == edit.id
            ]
            right = sum(evaluation.answers[0].verdict.correct for evaluation in mine)
            mean = fmean(evaluation.gold_logprob for evaluation in mine) if mine else float("-inf")
            found.append(Attempt(edit, None, right, len(mine), mean))
        return found

    def _longest(self, task: Task) -> int:
        """Tokens of a prediction: twice what the largest known output, or input to predict for, takes."""
        kind, pairs = read_context(task.context)
        values = [*(pair.output for pair in pairs), *(asked_value(kind, probe) for probe in task.probes)]
        return 2 * max(len(self._domain.written(kind, value)) for value in values) + 8

    def _read(self, kind: Kind, text: str, back: augment.Change) -> str:
        value = kind.read(text)
        if value is None:
            return text.strip()
        return kind.write(back(value) if isinstance(value, tuple) else value)


def leave_one_out(task: Task) -> list[Task]:
    """Tasks that ask for one of the demonstrations, each from all others; at most 3, and none of a single one."""
    kind, pairs = read_context(task.context)
    if len(pairs) < 2:
        return []
    return [
        make_task(
            f"{task.id}-{place}", task.title, kind, [*pairs[:place], *pairs[place + 1 :]], [(pair.input, pair.output)]
        )
        for place, pair in enumerate(pairs[:_MOST_FOLDS])
    ]


def is_solved(task: Task, predictions: Sequence[str]) -> bool | None:
    """Whether every prediction is exactly the gold output; None where one is not known."""
    if not all(probe.answers for probe in task.probes):
        return None
    return all(said == probe.answers[0] for said, probe in zip(predictions, task.probes, strict=True))


def check_window(domain: FewshotDomain, task: Task, window: int) -> None:
    """Raise UserError if the demonstrations and an input, with an output, are too long for the model."""
    kind, pairs = read_context(task.context)
    answer = max(len(domain.written(kind, pair.output)) for pair in pairs)
    longest = max(len(domain.question(task, probe)) for probe in task.probes)
    if longest + answer > window:
        raise UserError(
            f"Task {task.id} takes {longest + answer} tokens with its demonstrations, and the model's window is "
            f"{window}. Leave demonstrations out, or take a model with a longer window."
        )


def _through(view: augment.Augmentation, kind: Kind) -> Callable[[Value], Value]:
    return lambda value: view.forward(value) if isinstance(value, tuple) else value


def _most_common(texts: Sequence[str]) -> str:
    """The text said most often; of several, the one said first."""
    return Counter(texts).most_common(1)[0][0]
