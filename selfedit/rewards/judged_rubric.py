"""A rubric that another language model scores, as the whole reward: nothing is trained for it.

Version 2 of the paper (appendix B.10) has GPT-4.1 score edits in four categories, from 1 to 5 each, and rewards the
sum: 45.6 where accuracy after training gives 47.0, in minutes instead of hours. Its prompt is not in the official
files; the words are ours, and `scoring` in `policy.prompts` takes their place.
"""

from __future__ import annotations

import re
from functools import cached_property

from selfedit.judge import Endpoint, Form, Judge
from selfedit.models.wording import fill
from selfedit.rewards.base import Reward
from selfedit.text.reading import sha256
from selfedit.types import Group, Task

_PROMPT = """A language model will be trained on notes about a passage, so that it can answer questions about the \
passage without seeing it. Below are the passage and the notes.

Passage:
{title}
{passage}

Notes:
{edit}

Mark the notes from 1, poor, to 5, excellent, in each of these: length (they say enough to cover the passage), \
diversity (they say different things, and in different words), quality (they are clear, and each can be understood \
without the others) and correctness (they follow from the passage). Reply with the four marks in this order, with \
spaces between them, and nothing else."""
_OUT_OF = re.compile(r"/\s*5\b")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_MARK = re.compile("[1-5]")


def marks(reply: str) -> str | None:
    """The four marks in a reply, as `4 3 5 4`; None if there are others or more."""
    found = _NUMBER.findall(_OUT_OF.sub("", reply))
    return " ".join(found) if len(found) == 4 and all(map(_MARK.fullmatch, found)) else None


class JudgedRubricReward(Reward):
    """The sum of four marks that the model at SELFEDIT_JUDGE_URL gives an edit: 4 to 20, and 0 without an edit.

    Args:
        endpoint: by default from SELFEDIT_JUDGE_URL, SELFEDIT_JUDGE_MODEL and SELFEDIT_JUDGE_KEY.
        template: the question to the judge, with places for {title}, {passage} and {edit}.
    """

    name = "judged-rubric"
    needs_training = False
    needs_passage = True

    def __init__(self, endpoint: Endpoint | None = None, template: str = "") -> None:
        self._endpoint, self._template = endpoint, template or _PROMPT

    @property
    def identity(self) -> str:
        asked = "" if self._template == _PROMPT else f", asked {sha256(self._template.encode())[:8]}"
        return f"{self.name} {self._judge.endpoint.model}{asked}"

    def rewards(self, group: Group) -> list[tuple[float, ...]]:
        """.

        Raises:
            UserError: the judge is not named, cannot be reached, or gives no marks. Those that came are kept.
        """
        texts = ["" if rollout.failure else rollout.edit.text.strip() for rollout in group.rollouts]
        given = iter(self._judge.ask_all([self.shown(group.task, text) for text in texts if text]))
        return [(float(sum(map(int, next(given).split()))) if text else 0.0,) for text in texts]

    def shown(self, task: Task, text: str) -> str:
        return fill(self._template, title=task.title, passage=task.passage, edit=text)

    @cached_property
    def _judge(self) -> Judge:
        # Late, so that a configuration can be read where no judge is named.
        form = Form(marks, "does not give four marks from 1 to 5", max_tokens=32)
        return Judge(form, f"reward '{self.name}'", self._endpoint)
