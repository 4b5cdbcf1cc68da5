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
from selfedit.solve.run import HYPERPARAMETERS, SolveOptions, Solver, check_window
from selfedit.types import Model, Task

CPU_TOKENS = 16000
"""Training tokens of an edit on a CPU, so that a task takes minutes. On a GPU there is no bound but the paper's."""


_ATTEMPTS = {True: 3, False: 20}
"""Samples for one edit, by whether they are constrained."""
_MAX_EDIT_TOKENS = 320


class TaskSolver:
    """One loaded model, ready to solve tasks with `solver`."""

    def __init__(self, model: str, device: str | None, options: SolveOptions, progress: Progress) -> None:
        resolve(model).check()
        # torch is only imported once all that needs no model was checked.
        from selfedit.compose import compose
        from selfedit.models.load import load
        from selfedit.multilora.model import resolve_targets

        base = load(model, device=device, progress=progress)
        self.name, self.window = base.name, base.context_window
        on_cpu = base.model.device.type == "cpu"
        max_tokens = options.max_tokens if options.max_tokens is not None else CPU_TOKENS * on_cpu
        hyperparameters = HYPERPARAMETERS
        try:
            resolve_targets(base.model, hyperparameters.lora.target_modules)
        except UserError:  # A model whose layers have other names, as GPT-2's.
            lora = replace(hyperparameters.lora, target_modules="all-linear")
            hyperparameters = replace(hyperparameters, lora=lora)
        composition = Composition(
            format="none" if options.fixed else "settings",
            domain="fewshot",
            domain_settings={"max_tokens": max_tokens},
            temperature=options.temperature,
            top_p=1.0,
            max_edit_tokens=_MAX_EDIT_TOKENS,
            constrained=options.constrained,
            attempts=1 if options.fixed else _ATTEMPTS[options.constrained],
            training=hyperparameters,
            grader="exact",
            slots=options.slots,
            token_budget=options.token_budget,
        )
        stages = compose(base, composition, progress.note)
        assert isinstance(stages.domain, FewshotDomain)
        self._domain = stages.domain
        self.solver = Solver(stages, self._domain, Model(base.ref), progress, hyperparameters, options)

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
