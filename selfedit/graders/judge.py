"""The grader that asks another language model, as the paper does: is this answer right, yes or no?"""

from __future__ import annotations

import re
from collections.abc import Sequence

from selfedit.graders.base import Grader
from selfedit.judge import Endpoint, Form, Judge
from selfedit.models.wording import fill
from selfedit.text.reading import sha256
from selfedit.types import Probe, Verdict

_PROMPT = """You grade answers to reading questions. Below are a question, its correct answer, and the answer of a \
student who did not see the text.

Question: {question}
Correct answer: {gold}
Student's answer: {answer}

Does the student's answer say the same as the correct answer, as far as the question asks? More detail, other words \
or another order do not matter; an answer that contradicts the correct one, or that only repeats the question, is \
not correct. Reply with one word, yes or no."""
_YES_NO = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


def _yes_or_no(reply: str) -> str | None:
    match = _YES_NO.match(reply)
    return match[1].lower() if match else None


class JudgeGrader(Grader):
    """Asks the model at SELFEDIT_JUDGE_URL, many at once; each verdict is kept on disk and never asked for twice.

    The verdict of an empty answer is wrong without asking. A judge that does not answer raises: it scores nothing.

    Args:
        endpoint: by default from SELFEDIT_JUDGE_URL, SELFEDIT_JUDGE_MODEL and SELFEDIT_JUDGE_KEY.
        concurrency: requests under way at once.
        template: the question to the judge, with places for {question}, {gold} and {answer}.

    Raises:
        UserError: the variables are not set.
    """

    name = "judge"

    def __init__(self, endpoint: Endpoint | None = None, concurrency: int = 8, template: str = _PROMPT) -> None:
        form = Form(_yes_or_no, "says neither yes nor no")
        self._judge, self._template = Judge(form, f"grader '{self.name}'", endpoint, concurrency), template

    @property
    def identity(self) -> str:
        asked = "" if self._template == _PROMPT else f", asked {sha256(self._template.encode())[:8]}"
        return f"{self.name} {self._judge.endpoint.model}{asked}"

    def grade(self, probe: Probe, answer: str) -> Verdict:
        return self.grade_all([(probe, answer)])[0]

    def grade_all(self, items: Sequence[tuple[Probe, str]]) -> list[Verdict]:
        """.

        Raises:
            UserError: the judge cannot be reached, or says neither yes nor no. Verdicts that came are kept.
        """
        replies = iter(self._judge.ask_all([self.shown(probe, answer) for probe, answer in items if answer.strip()]))
        return [
            self._verdict(next(replies)) if answer.strip() else Verdict(False, "there is no answer")
            for _, answer in items
        ]

    def shown(self, probe: Probe, answer: str) -> str:
        gold = " or ".join(probe.answers)
        return fill(self._template, question=probe.question, gold=gold, answer=answer.strip())

    def _verdict(self, said: str) -> Verdict:
        return Verdict(said == "yes", f"{self._judge.endpoint.model} says {said}")
