"""A judge: many questions at once to one endpoint, whose replies have a form, and are kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from selfedit.errors import UserError
from selfedit.files.disk import write_whole, writing
from selfedit.judge.chat import Endpoint, UnreachableError, brief, from_environment
from selfedit.paths import judge_cache

_ASKED_AGAIN = 3


@dataclass(frozen=True)
class Form:
    """What a reply has to be.

    Attributes:
        read: brings a reply into the one form in which it is kept, and leaves that as it is; None for other replies.
        fault: what can be said of a judge that replies otherwise, as in "The judge ... says neither yes nor no".
        max_tokens: of a reply.
    """

    read: Callable[[str], str | None]
    fault: str
    max_tokens: int = 16


class Judge:
    """Asks the model at SELFEDIT_JUDGE_URL; each reply is kept by model and prompt, and never asked for twice.

    Args:
        needed_by: who asks, for the message about what is not set.
        endpoint: by default from SELFEDIT_JUDGE_URL, SELFEDIT_JUDGE_MODEL and SELFEDIT_JUDGE_KEY.
        concurrency: requests under way at once.

    Raises:
        UserError: the variables are not set.
    """

    def __init__(self, form: Form, needed_by: str, endpoint: Endpoint | None = None, concurrency: int = 8) -> None:
        self._form, self._concurrency = form, concurrency
        self.endpoint = endpoint or from_environment("SELFEDIT_JUDGE", f"The {needed_by}")

    def ask_all(self, prompts: Sequence[str]) -> list[str]:
        """The reply to each prompt, in their order.

        Raises:
            UserError: the judge cannot be reached, or its replies have another form. Those that came are kept.
        """
        said = {prompt: reply for prompt in dict.fromkeys(prompts) if (reply := self._cached(prompt)) is not None}
        missing = [prompt for prompt in dict.fromkeys(prompts) if prompt not in said]
        said |= dict(zip(missing, self._ask_missing(missing), strict=True))
        return [said[prompt] for prompt in prompts]

    def _ask_missing(self, prompts: Sequence[str]) -> list[str]:
        # Each call has its own flag: a judge that failed once may be asked again later.
        endpoint = replace(self.endpoint, stop=Event())
        with ThreadPoolExecutor(max(1, min(self._concurrency, len(prompts)))) as pool:
            try:
                return list(pool.map(lambda prompt: self._ask(endpoint, prompt), prompts))
            except BaseException:
                endpoint.stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _ask(self, endpoint: Endpoint, prompt: str) -> str:
        reply = ""
        for _ in range(_ASKED_AGAIN):
            try:
                reply = endpoint.ask(prompt, self._form.max_tokens)
            except UnreachableError as error:
                endpoint.stop.set()  # The others would only find the same.
                raise UserError(
                    f"The judge at {endpoint.url} gives no answer: {error}. What was graded is kept; the same "
                    "command goes on."
                ) from None
            read = self._form.read(reply)
            if read is not None:
                self._keep(prompt, read)
                return read
        raise UserError(
            f"The judge {endpoint.model} at {endpoint.url} {self._form.fault}, but '{brief(reply)}'. What was "
            "graded is kept; name another model in SELFEDIT_JUDGE_MODEL."
        )

    def _path(self, prompt: str) -> Path:
        digest = hashlib.sha256(f"{self.endpoint.model}\0{prompt}".encode()).hexdigest()
        return judge_cache() / digest[:2] / digest

    def _cached(self, prompt: str) -> str | None:
        try:
            return self._form.read(self._path(prompt).read_bytes().decode("utf-8", "replace"))
        except OSError:
            return None

    def _keep(self, prompt: str, reply: str) -> None:
        path = self._path(prompt)
        with writing(judge_cache(), "set SELFEDIT_HOME to another folder"):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, reply.encode())
