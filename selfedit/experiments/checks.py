"""What can be wrong with a configuration and is said before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfedit.errors import UserError
from selfedit.experiments.algorithms import load_algorithm
from selfedit.experiments.config import TrainConfig
from selfedit.experiments.data import RunData
from selfedit.experiments.named_policy import BUNDLED, check_policy, starting_policy
from selfedit.rewards import make_reward

if TYPE_CHECKING:
    from selfedit.models.load import BaseModel
    from selfedit.search.stages import Stages


def check_algorithm(config: TrainConfig) -> None:
    """The algorithm must be there, and gates need validation passages to look at."""
    load_algorithm(config.outer.algorithm)
    if config.outer.gates and config.data.validation is None:
        raise UserError("outer.gates looks at the validation passages, and data.validation is missing: name some.")


def check_start(config: TrainConfig) -> None:
    """There is such a policy to begin from."""
    start = config.policy.start
    if start == BUNDLED:
        if starting_policy(config.model) is None:
            raise UserError(f"policy.start is '{BUNDLED}', and none comes with {config.model}. Use 'none'.")
        return
    check_policy(start)


def check_regimes(config: TrainConfig) -> None:
    """Enough validation passages for every regime."""
    evaluation, there = config.evaluation, config.data.validation_contexts
    drawn = evaluation.sequence_seeds is not None
    if "sequential" in evaluation.regimes and drawn and evaluation.sequence > there:
        raise UserError(f"evaluation.sequence is {evaluation.sequence}; data.validation_contexts is {there}.")
    if "sequential" in evaluation.regimes and not drawn and evaluation.sequence * evaluation.sequences > there:
        raise UserError(
            f"evaluation.sequences: {evaluation.sequences} sequences of {evaluation.sequence} passages need more than "
            f"the {there} of data.validation_contexts."
        )
    if "many" in evaluation.regimes and max(evaluation.many) > there:
        raise UserError(f"evaluation.many names {max(evaluation.many)} passages; data.validation_contexts is {there}.")


def check_rank(config: TrainConfig) -> None:
    """A rank above the width of the model is a mistake: no update has more."""
    from selfedit.models.shape import guess_shape

    shape = guess_shape(config.model)
    if shape is None:
        return
    for name, training in (("inner", config.inner), ("outer.training", config.outer.training)):
        if training.rank * shape.widths > 2 * shape.parameters:
            raise UserError(
                f"{name}.rank is {training.rank}: adapters would be larger than {config.model} itself. Lower it."
            )


def check_targets(config: TrainConfig, base: BaseModel) -> None:
    """Every adapter that the run may train has layers to adapt."""
    from selfedit.multilora.model import resolve_targets

    trainings = {
        "inner": config.inner,
        "outer.training": config.outer.training,
        "evaluation.many_training": config.evaluation.many_training,
    }
    for name, training in trainings.items():
        try:
            resolve_targets(base.model, training.hyperparameters().lora.target_modules)
        except UserError as error:
            raise UserError(f"{name}.{error}") from None


def check_window(data: RunData, config: TrainConfig, base: BaseModel, stages: Stages) -> None:
    """Every task must fit the model's window: with the prompt and the edit about it, and with its longest question."""
    window = base.context_window
    for task in (task for tasks in (*data.rounds, data.validation) for task in tasks):
        writing = len(stages.student.prompt(task)) + config.policy.max_edit_tokens
        if writing > window:
            raise UserError(
                f"Task {task.id} ('{task.title}') takes {writing} tokens with the prompt and policy.max_edit_tokens, "
                f"and the model's window is {window}. Lower policy.max_edit_tokens, or leave the task out."
            )
        questions = (len(stages.domain.question(task, probe, with_context=True)) for probe in task.probes)
        asking = max(questions, default=0) + config.evaluation.max_answer_tokens
        if asking > window:
            raise UserError(
                f"Task {task.id} ('{task.title}') takes {asking} tokens with its longest question and "
                f"evaluation.max_answer_tokens, and the model's window is {window}. Lower "
                "evaluation.max_answer_tokens, or leave the task out."
            )


def judged_rewards(config: TrainConfig) -> dict[str, str]:
    """What rewards hang on, by the key that names them, where that is another model: which, and what it is asked.

    Raises:
        UserError: it is not said which.
    """
    names = {"outer.reward": config.outer.reward, "outer.screen": config.outer.screen}
    identities = {key: make_reward(name, config.wording).identity for key, name in names.items() if name is not None}
    return {key: identity for key, identity in identities.items() if identity != names[key]}
