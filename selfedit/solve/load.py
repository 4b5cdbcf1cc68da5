"""A `Solver` over a named model: what `selfedit solve` and `selfedit arc filter` have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from selfedit.domains.fewshot.domain import FewshotDomain
from selfedit.domains.fewshot.prompt import FORMATS
from selfedit.errors import UserError
from selfedit.files.disk import exists
from selfedit.models import resolve
from selfedit.progress import Progress
from selfedit.solve.run import HYPERPARAMETERS, Solver, check_window
from selfedit.types import Task

CPU_TOKENS = 16000
"""Training tokens of an edit on a CPU, so that a task takes minutes. On a GPU there is no bound but the paper's."""


@dataclass(frozen=True)
class SolveOptions:
    """How to solve.

    Attributes:
        fixed: train by the fixed recipe; no self-edit is written.
        constrained: sample only valid self-edits; else, as in the paper, until one is valid.
        vote: let the predictions for the task seen in all rigid ways vote.
        most_tokens: training tokens of an edit; None for what suits the device, 0 for no bound.
    """

    fixed: bool = False
    constrained: bool = True
    vote: bool = False
    most_tokens: int | None = None
    temperature: float = 1.0
    slots: int = 8
    token_budget: int = 2048


_ATTEMPTS = 20
_MOST_EDIT_TOKENS = 320


class TaskSolver:
    """One loaded model, ready to solve tasks with `solver`."""

    def __init__(self, model: str, device: str | None, options: SolveOptions, progress: Progress) -> None:
        resolve(model).check()
        # torch is only imported once all that needs no model was checked.
        from selfedit.generate import make_generator
        from selfedit.inner import make_inner_loop
        from selfedit.models.load import load
        from selfedit.models.prompt import Prompter
        from selfedit.multilora.model import resolve_targets
        from selfedit.policies.base import Policy
        from selfedit.policies.model import ModelPolicy
        from selfedit.policies.resample import ResamplingPolicy

        base = load(model, device=device, progress=progress)
        self.name, self.window = base.name, base.context_window
        prompter = Prompter(base.tokenizer, base.has_chat_template)
        on_cpu = base.model.device.type == "cpu"
        most_tokens = options.most_tokens if options.most_tokens is not None else CPU_TOKENS * on_cpu
        self._domain = FewshotDomain(prompter, base.stop_token_ids[0], most_tokens=most_tokens)
        generator = make_generator("batched", base)
        format_ = FORMATS["none" if options.fixed else "settings"]
        policy: Policy = ModelPolicy(
            generator, prompter, format_, options.temperature, 1.0, _MOST_EDIT_TOKENS, options.constrained
        )
        if not options.fixed:
            attempts = _ATTEMPTS if not options.constrained else 3
            policy = ResamplingPolicy(policy, self._domain.is_usable, attempts)
        hyperparameters = HYPERPARAMETERS
        try:
            resolve_targets(base.model, hyperparameters.lora.target_modules)
        except UserError:  # A model whose layers have other names, as GPT-2's.
            lora = replace(hyperparameters.lora, target_modules="all-linear")
            hyperparameters = replace(hyperparameters, lora=lora)
        inner = make_inner_loop("batched", base.model, options.slots, options.token_budget, progress.note)
        self.solver = Solver(self._domain, policy, inner, generator, progress, hyperparameters, options.vote)

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
