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
from selfedit.graders import make_grader
from selfedit.inner import make_inner_loop
from selfedit.models.load import BaseModel
from selfedit.models.prompt import Prompter, PromptStyle
from selfedit.models.wording import Wording
from selfedit.policies.answer_first import AnswerFirstPolicy
from selfedit.policies.base import Policy, Student
from selfedit.policies.entigraph import FORMAT as ENTIGRAPH
from selfedit.policies.entigraph import EntigraphPolicy
from selfedit.policies.formats import ANSWER_FIRST
from selfedit.policies.model import ModelPolicy
from selfedit.policies.resample import ResamplingPolicy
from selfedit.rewards import make_reward
from selfedit.search.evaluator import Evaluator
from selfedit.search.stages import Stages
from selfedit.settings import Composition

GENERAL_ANSWER_TOKENS = 24
"""Of the answer to a general question: all that are asked are answered in a few words."""


def make_prompter(base: BaseModel, style: PromptStyle = "auto", wording: Wording | None = None) -> Prompter:
    """What renders prompts for a model.

    Raises:
        UserError: chat is asked for, and the model has no template for it.
    """
    if style == "chat" and not base.has_chat_template:
        raise UserError(f"policy.prompt is 'chat', and {base.name} has no chat template: name 'plain', or 'auto'.")
    return Prompter(base.tokenizer, base.has_chat_template if style == "auto" else style == "chat", wording)


def compose_domain(base: BaseModel, name: str, settings: Mapping[str, Any], prompter: Prompter | None = None) -> Domain:
    """A domain over a model."""
    return make_domain(name, prompter or make_prompter(base), base.stop_token_ids[0], settings)


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
    prompter = make_prompter(base, composition.prompt, composition.wording)
    generator = generator or make_generator(composition.generator, base)
    domain = compose_domain(base, composition.domain, composition.domain_settings, prompter)
    student = _student(base, composition, domain, prompter, generator)
    grader = make_grader(composition.grader, composition.wording)
    policy = writer or student
    if writer is None and composition.format == ENTIGRAPH:
        policy = EntigraphPolicy(
            generator,
            prompter,
            composition.temperature,
            composition.top_p,
            composition.max_edit_tokens,
            shows_example(composition),
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
        evaluator=Evaluator(generator, domain, grader, composition.max_answer_tokens),
        reward=make_reward(composition.reward, composition.wording),
        general=Evaluator(
            generator,
            compose_domain(base, "knowledge", {}, prompter),
            make_grader("match"),
            max_new_tokens=GENERAL_ANSWER_TOKENS,
        ),
    )


def shows_example(composition: Composition) -> bool:
    """Whether the writer sees a worked example.

    Whoever was taught to write answer first practised without one (`benchmarks/starting_policy.py`); policies of other
    formats, which `train` teaches, practise with the example in sight, if the configuration shows it.
    """
    practised_without = composition.taught and composition.format == ANSWER_FIRST
    return composition.worked_example and not practised_without


def _student(
    base: BaseModel, composition: Composition, domain: Domain, prompter: Prompter, generator: Generator
) -> Student:
    """The language model as a policy."""
    if composition.format in (ANSWER_FIRST, ENTIGRAPH) and not isinstance(domain, KnowledgeDomain):
        raise UserError(f"The format '{composition.format}' is about passages, which '{composition.domain}' has not.")
    if composition.format != ANSWER_FIRST:
        return ModelPolicy(
            generator,
            prompter,
            domain.formats[composition.format].worded(composition.wording, shows_example(composition)),
            base.stop_token_ids,
            composition.temperature,
            composition.top_p,
            composition.max_edit_tokens,
            composition.constrained,
        )
    assert isinstance(domain, KnowledgeDomain)
    return AnswerFirstPolicy(
        generator,
        prompter,
        domain.ask,
        base.stop_token_ids[0],
        composition.temperature,
        composition.top_p,
        wordings=composition.asking.wordings,
        per_sentence=composition.asking.spans,
        shown=shows_example(composition),
        attempts=composition.asking.tries,
        clozes=composition.asking.clozes,
    )
