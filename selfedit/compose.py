"""The composition root: one loaded base model and a `Composition`, to stages. Every driver calls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from selfedit.domains import make_domain
from selfedit.domains.base import Domain
from selfedit.domains.knowledge import KnowledgeDomain
from selfedit.errors import UserError
from selfedit.generate import make_generator
from selfedit.generate.base import Generator
from selfedit.graders import GRADERS
from selfedit.inner import make_inner_loop
from selfedit.models.load import BaseModel
from selfedit.models.prompt import Prompter
from selfedit.policies.answer_first import FORMAT as ANSWER_FIRST
from selfedit.policies.answer_first import AnswerFirstPolicy
from selfedit.policies.base import Policy
from selfedit.policies.model import ModelPolicy
from selfedit.policies.resample import ResamplingPolicy
from selfedit.rewards import make_reward
from selfedit.search.evaluator import Evaluator
from selfedit.search.stages import Stages
from selfedit.settings import Composition

GENERAL_ANSWER_TOKENS = 24
"""Of the answer to a general question: all that are asked are answered in a few words."""


def make_prompter(base: BaseModel) -> Prompter:
    """What renders prompts for a model."""
    return Prompter(base.tokenizer, base.has_chat_template)


def compose_domain(base: BaseModel, name: str, settings: Mapping[str, Any]) -> Domain:
    """A domain over a model."""
    return make_domain(name, make_prompter(base), base.stop_token_ids[0], settings)


def compose(
    base: BaseModel,
    composition: Composition,
    tell: Callable[[str], None],
    writer: Policy | None = None,
    generator: Generator | None = None,
) -> Stages:
    """All stages over one loaded model.

    Args:
        tell: where a line goes that the user should read.
        writer: who writes self-edits, if not the model.
        generator: one that is there already.
    """
    prompter = make_prompter(base)
    generator = generator or make_generator(composition.generator, base)
    domain = compose_domain(base, composition.domain, composition.domain_settings)
    student = ModelPolicy(
        generator,
        prompter,
        domain.formats[composition.format],
        base.stop_token_ids,
        composition.temperature,
        composition.top_p,
        composition.max_edit_tokens,
        composition.constrained,
    )
    policy = writer or student
    if writer is None and composition.format == ANSWER_FIRST:
        if not isinstance(domain, KnowledgeDomain):
            raise UserError(f"The format '{ANSWER_FIRST}' is about passages, which the domain '{domain}' has not.")
        policy = AnswerFirstPolicy(
            generator,
            prompter,
            domain.ask,
            composition.temperature,
            composition.top_p,
            shown=composition.worked_example,
        )
    if composition.attempts > 1:
        is_usable = partial(domain.is_usable, hyperparameters=composition.training)
        readable = composition.accept == "readable"
        accepted = domain.is_readable if readable else is_usable
        policy = ResamplingPolicy(policy, accepted, composition.attempts, repeats=readable)
    return Stages(
        prompter=prompter,
        generator=generator,
        inner=make_inner_loop(composition.inner_loop, base, composition.slots, composition.token_budget, tell),
        domain=domain,
        policy=policy,
        student=student,
        evaluator=Evaluator(generator, domain, GRADERS[composition.grader](), composition.max_answer_tokens),
        reward=make_reward(composition.reward),
        general=Evaluator(
            generator, compose_domain(base, "knowledge", {}), GRADERS["match"](), max_new_tokens=GENERAL_ANSWER_TOKENS
        ),
    )
