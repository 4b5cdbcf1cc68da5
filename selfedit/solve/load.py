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
from selfedit.types import Model, Task

CPU_TOKENS = 16000
"""Training tokens of an edit on a CPU, so that a task takes minutes. On a GPU there is no bound but the paper's."""


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
        fixed: train by the fixed recipe; no self-edit is written.
        max_tokens: training tokens of an edit, 0 for no bound; None for what the composition says, or else suits the
            device.
    """

    def __init__(
        self,
        model: str,
        device: str | None,
        composition: Composition,
        progress: Progress,
        *,
        fixed: bool = False,
        max_tokens: int | None = None,
    ) -> None:
        resolve(model).check()
        # torch is only imported once all that needs no model was checked.
        from selfedit.compose import compose
        from selfedit.models.load import load
        from selfedit.multilora.model import resolve_targets

        base = load(model, device=device, progress=progress)
        self.name, self.window = base.name, base.context_window
        suited = {"max_tokens": CPU_TOKENS if base.model.device.type == "cpu" else 0}
        asked = {} if max_tokens is None else {"max_tokens": max_tokens}
        training = composition.training
        try:
            resolve_targets(base.model, training.lora.target_modules)
        except UserError:  # A model whose layers have other names, as GPT-2's.
            training = replace(training, lora=replace(training.lora, target_modules="all-linear"))
        composition = replace(
            composition, training=training, domain_settings={**suited, **composition.domain_settings, **asked}
        )
        if fixed:
            composition = replace(composition, format="none", attempts=1)
        stages = compose(base, composition, progress.note)
        assert isinstance(stages.domain, FewshotDomain)
        self._domain = stages.domain
        self.solver = Solver(stages, self._domain, Model(base.ref), progress, training, composition.slots)

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
