"""The grader that asks another language model, as the paper does: is this answer right, yes or no?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

from selfedit.errors import UserError
from selfedit.files.disk import write_whole, writing
from selfedit.graders.base import Grader
from selfedit.graders.chat import Endpoint, UnreachableError, brief, from_environment
from selfedit.models.wording import fill
from selfedit.paths import judge_cache
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
_ASKED_AGAIN = 3


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
        self._endpoint = endpoint or from_environment("SELFEDIT_JUDGE", "The grader 'judge'")
        self._concurrency, self._template = concurrency, template

    @property
    def identity(self) -> str:
        asked = "" if self._template == _PROMPT else f", asked {sha256(self._template.encode())[:8]}"
        return f"{self.name} {self._endpoint.model}{asked}"

    def grade(self, probe: Probe, answer: str) -> Verdict:
        return self.grade_all([(probe, answer)])[0]

    def grade_all(self, items: Sequence[tuple[Probe, str]]) -> list[Verdict]:
        """.

        Raises:
            UserError: the judge cannot be reached, or says neither yes nor no. Verdicts that came are kept.
        """
        prompts = [self._prompt(probe, answer) if answer.strip() else None for probe, answer in items]
        wanted = list(dict.fromkeys(prompt for prompt in prompts if prompt is not None))
        said = {prompt: reply for prompt in wanted if (reply := self._cached(prompt)) is not None}
        missing = [prompt for prompt in wanted if prompt not in said]
        said |= dict(zip(missing, self._ask_all(missing), strict=True))
        return [
            Verdict(False, "there is no answer") if prompt is None else self._verdict(said[prompt])
            for prompt in prompts
        ]

    def _prompt(self, probe: Probe, answer: str) -> str:
        gold = " or ".join(probe.answers)
        return fill(self._template, question=probe.question, gold=gold, answer=answer.strip())

    def shown(self, probe: Probe, answer: str) -> str:
        return self._prompt(probe, answer)

    def _verdict(self, correct: bool) -> Verdict:
        return Verdict(correct, f"{self._endpoint.model} says {'yes' if correct else 'no'}")

    def _ask_all(self, prompts: Sequence[str]) -> list[bool]:
        # Each call has its own flag: a judge that failed once may be asked again later.
        endpoint = replace(self._endpoint, stop=Event())
        with ThreadPoolExecutor(max(1, min(self._concurrency, len(prompts)))) as pool:
            try:
                return list(pool.map(lambda prompt: self._ask(endpoint, prompt), prompts))
            except BaseException:
                endpoint.stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _ask(self, endpoint: Endpoint, prompt: str) -> bool:
        reply = ""
        for _ in range(_ASKED_AGAIN):
            try:
                reply = endpoint.ask(prompt)
            except UnreachableError as error:
                endpoint.stop.set()  # The others would only find the same.
                raise UserError(
                    f"The judge at {endpoint.url} gives no answer: {error}. What was graded is kept; the same "
                    "command goes on."
                ) from None
            match = _YES_NO.match(reply)
            if match:
                correct = match[1].lower() == "yes"
                self._keep(prompt, correct)
                return correct
        raise UserError(
            f"The judge {endpoint.model} at {endpoint.url} says neither yes nor no, but '{brief(reply)}'. What was "
            "graded is kept; name another model in SELFEDIT_JUDGE_MODEL."
        )

    def _path(self, prompt: str) -> Path:
        digest = hashlib.sha256(f"{self._endpoint.model}\0{prompt}".encode()).hexdigest()
        return judge_cache() / digest[:2] / digest

    def _cached(self, prompt: str) -> bool | None:
        try:
            return {b"yes": True, b"no": False}.get(self._path(prompt).read_bytes())
        except OSError:
            return None

    def _keep(self, prompt: str, correct: bool) -> None:
        path = self._path(prompt)
        with writing(judge_cache(), "set SELFEDIT_HOME to another folder"):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, b"yes" if correct else b"no")
