"""Another language model, asked over the network: by the grader `judge` and the reward `judged-rubric`."""

from __future__ import annotations

from selfedit.judge.chat import Endpoint
from selfedit.judge.judge import Form, Judge

__all__ = ["Endpoint", "Form", "Judge"]
