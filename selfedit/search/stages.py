"""What a search is composed of."""

from __future__ import annotations

from dataclasses import dataclass

from selfedit.domains.base import Domain
from selfedit.generate.base import Generator
from selfedit.inner.base import InnerLoop
from selfedit.models.prompt import Prompter
from selfedit.policies.base import Policy, Student
from selfedit.progress import Progress
from selfedit.rewards import Reward
from selfedit.search.evaluator import Evaluator
from selfedit.search.executor import Executor, LocalExecutor


@dataclass(frozen=True)
class Stages:
    """One implementation of each stage, over one loaded base. `selfedit.compose` builds them.

    Attributes:
        policy: who writes self-edits.
        student: the language model as a policy: what learns from edits, whoever wrote them.
        general: asks questions about the world, whatever the domain.
        executor: where the search's work is done; None does it in this process.
    """

    prompter: Prompter
    generator: Generator
    inner: InnerLoop
    domain: Domain
    policy: Policy
    student: Student
    evaluator: Evaluator
    reward: Reward
    general: Evaluator
    executor: Executor | None = None


def local_executor(stages: Stages, progress: Progress) -> LocalExecutor:
    """In this process, over the stages themselves."""
    general = stages.general if stages.reward.needs_general else None
    return LocalExecutor(stages.inner, stages.evaluator, progress, general)
