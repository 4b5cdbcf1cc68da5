"""A `Solver` over a named model: what `selfedit solve` and `selfedit arc filter` have in common."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from selfedit.domains.fewshot.domain import FewshotDomain
from selfedit.errors import UserError
from selfedit.files.disk import exists
from selfedit.models import resolve
from selfedit.progress import Progress
from selfedit.settings import Composition
from selfedit.solve.run import HYPERPARAMETERS, Solver, check_window
from selfedit.types import Adapter, Model, Task

CPU_TOKENS = 16000
"""Training tokens of an edit on a CPU, so that a task takes minutes. On a GPU there is no bound but the paper's."""

COMPARED_SHARE = 6
"""Of these tokens an adapter that is compared has a sixth: two recipes without each of three demonstrations then take
no more than the training at the end."""


def default_composition(*, constrained: bool = True, vote: bool = False, temperature: float = 1.0) -> Composition:
    """How tasks are solved where no configuration says otherwise.

    Args:
        constrained: sample only valid self-edits; else, as in the paper, until one is valid.
        vote: let the predictions for the task seen in all rigid ways vote.
    """
    return Composition(
        format="settings",
        domain="fewshot",
        domain_settings={"views": "rigid" if vote else "once"},
        temperature=temperature,
        top_p=1.0,
        max_edit_tokens=320,
        constrained=constrained,
        attempts=3 if constrained else 20,
        training=HYPERPARAMETERS,
        grader="exact",
        slots=8,
        token_budget=2048,
    )


class TaskSolver:
    """One loaded model, ready to solve tasks with `solver`.

    Args:
        policy: what writes self-edits, and what is trained on top of; None is the bare base.
        max_tokens: training tokens of an edit, 0 for no bound; None for what the composition says, or else suits the
            device.
        compare_tokens: of an adapter that leave-one-out compares; None for a share of those.
    """

    def __init__(
        self,
        model: str,
        device: str | None,
        composition: Composition,
        progress: Progress,
        *,
        policy: Adapter | None = None,
        max_tokens: int | None = None,
        compare_tokens: int | None = None,
    ) -> None:
        resolve(model).check()
        # torch is only imported once all that needs no model was checked.
        from selfedit.compose import compose
        from selfedit.models.load import load
        from selfedit.multilora.model import resolve_targets

        base = load(model, device=device, progress=progress)
        self.name, self.window = base.name, base.context_window
        training = composition.training
        try:
            resolve_targets(base.model, training.lora.target_modules)
        except UserError:  # A model whose layers have other names, as GPT-2's.
            training = replace(training, lora=replace(training.lora, target_modules="all-linear"))
        settings = {"max_tokens": CPU_TOKENS if base.device.type == "cpu" else 0, **composition.domain_settings}
        if max_tokens is not None:
            settings["max_tokens"] = max_tokens
        stages = compose(base, replace(composition, training=training, domain_settings=settings), progress.note)
        assert isinstance(stages.domain, FewshotDomain)
        self._domain = stages.domain
        self.compare_tokens = settings["max_tokens"] // COMPARED_SHARE if compare_tokens is None else compare_tokens
        start = Model(base.ref).merge(policy) if policy is not None else Model(base.ref)
        self.solver = Solver(stages, self._domain, start, progress, training, composition.slots, self.compare_tokens)

    def prompt_length(self, task: Task) -> int:
        """Tokens of the task's longest prompt."""
        return max(len(self._domain.question(task, probe)) for probe in task.probes)

    def fits(self, task: Task) -> bool:
        """Whether a task fits the model's window."""
        try:
            self.check(task)
        except UserError:
            return False
        return True

    def check(self, task: Task) -> None:
        """Raise UserError if a task does not fit the model's window."""
        check_window(self._domain, task, self.window)


def one_task(source: str) -> Task:
    """The only task of a source.

    Raises:
        UserError: it names none, or several.
    """
    from selfedit.domains.fewshot.read import read_source

    tasks = read_source(source)
    if len(tasks) > 1:
        hint = f"{source}#{tasks[0].id}" if exists(Path(source)) and Path(source).is_file() else tasks[0].id
        raise UserError(f"{source} holds {len(tasks)} tasks; name one of them, as in {hint}.")
    return tasks[0]
