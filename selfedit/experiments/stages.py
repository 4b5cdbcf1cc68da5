"""What a run is composed of, built from its configuration."""

from __future__ import annotations

from dataclasses import dataclass

from selfedit.domains import make_domain
from selfedit.domains.base import Domain
from selfedit.experiments.config import TrainConfig
from selfedit.generate import make_generator
from selfedit.graders import GRADERS
from selfedit.inner import make_inner_loop
from selfedit.inner.base import InnerLoop
from selfedit.models.load import BaseModel
from selfedit.models.prompt import Prompter
from selfedit.policies.base import Policy
from selfedit.policies.model import ModelPolicy
from selfedit.policies.resample import ResamplingPolicy
from selfedit.progress import Progress
from selfedit.rewards import Reward, make_reward
from selfedit.search.evaluator import Evaluator


@dataclass(frozen=True)
class OuterStages:
    """The stages of the outer loop. `writer` is the policy, or the policy with what asks it again."""

    base: BaseModel
    policy: ModelPolicy
    writer: Policy
    domain: Domain
    inner: InnerLoop
    evaluator: Evaluator
    reward: Reward


def build_stages(config: TrainConfig, base: BaseModel, progress: Progress) -> OuterStages:
    """All stages over one loaded model."""
    prompter = Prompter(base.tokenizer, base.has_chat_template)
    generator = make_generator(config.engine.generator, base)
    settings = config.policy
    domain = make_domain(config.domain, prompter, base.stop_token_ids[0], config.domain_settings)
    policy = ModelPolicy(
        generator,
        prompter,
        domain.formats[settings.format],
        settings.temperature,
        settings.top_p,
        settings.max_edit_tokens,
        settings.constrained,
    )
    writer = ResamplingPolicy(policy, domain.is_usable, settings.attempts) if settings.attempts > 1 else policy
    engine = config.engine
    inner = make_inner_loop(engine.inner_loop, base.model, engine.slots, engine.token_budget, progress.note)
    grader = GRADERS[config.evaluation.grader]()
    evaluator = Evaluator(generator, domain, grader, config.evaluation.max_answer_tokens)
    return OuterStages(base, policy, writer, domain, inner, evaluator, make_reward(config.outer.reward))
