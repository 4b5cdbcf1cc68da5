"""One question to an OpenAI-compatible endpoint, asked again until it is answered or hope is lost."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any, TypeVar
from urllib.parse import urlsplit

from selfedit.errors import UserError

_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LONGEST_PAUSE = 60.0

T = TypeVar("T")


class UnreachableError(Exception):
    """The endpoint gave no answer; the message is the last reason and never holds the key."""


@dataclass(frozen=True)
class Endpoint:
    """A chat endpoint. `url` is the base, such as http://localhost:8000/v1; `pause` is in seconds and doubles.

    `stop`, once set, ends all waiting: a caller that gives up need not wait for its other threads' retries.
    `variables` is how those begin that say where it is.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    attempts: int = 6
    pause: float = 1.0
    timeout: float = 60.0
    stop: Event = field(default_factory=Event, repr=False, compare=False)
    variables: str = "SELFEDIT_JUDGE"

    def ask(self, prompt: str, max_tokens: int = 16) -> str:
        """The reply's text, at temperature 0.

        Raises:
            UnreachableError: no answer after `attempts`, or a refusal that asking again would not change.
        """
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": max_tokens,
        }
        text = self._persist(lambda: self._post("chat/completions", body, _reply))
        return text if isinstance(text, str) else ""

    def moderate(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """The categories under which a moderation endpoint flags each text; none for one that it does not flag.

        Raises:
            UnreachableError: as `ask`.
        """
        body = {"model": self.model, "input": list(texts)}
        return self._persist(lambda: self._post("moderations", body, partial(_flagged, count=len(texts))))

    def _persist(self, attempt: Callable[[], T]) -> T:
        reason = "interrupted"
        for number in range(self.attempts):
            if self.stop.is_set():
                break
            try:
                return attempt()
            except _AgainError as again:
                reason = str(again)
                wait = min(_LONGEST_PAUSE, max(self.pause * 2**number, again.after))
                if number + 1 < self.attempts:
                    self.stop.wait(wait)
        raise UnreachableError(reason)

    def _post(self, path: str, body: Mapping[str, Any], read: Callable[[Any], T]) -> T:
        headers = {"Content-Type": "application/json", "User-Agent": "selfedit"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url.rstrip('/')}/{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                return read(json.loads(response.read()))
        except urllib.error.HTTPError as error:
            with error:
                if error.code in _RETRIED:
                    raise _AgainError(f"HTTP {error.code}", _seconds(error.headers.get("Retry-After"))) from None
                raise UnreachableError(f"HTTP {error.code} {error.reason}{self._hint(error.code)}") from None
        except urllib.error.URLError as error:
            raise _AgainError(_plain(error.reason)) from None
        except (OSError, http.client.HTTPException) as error:
            raise _AgainError(_plain(error)) from None
        except (ValueError, KeyError, IndexError, TypeError):
            what = "chat completion" if path.startswith("chat") else "moderation"
            raise _AgainError(f"its reply is not a {what}, check {self.variables}_URL") from None

    def _hint(self, code: int) -> str:
        if code in (401, 403):
            return f", check {self.variables}_KEY"
        return f", check {self.variables}_URL and {self.variables}_MODEL" if code in (400, 404, 422) else ""


def _reply(reply: Any) -> Any:
    return reply["choices"][0]["message"]["content"]


def _flagged(reply: Any, count: int) -> list[tuple[str, ...]]:
    results = reply["results"]
    if len(results) != count:
        raise ValueError("not one result a text")
    return [
        tuple(name for name, is_one in each.get("categories", {}).items() if is_one) or ("flagged",)
        if each["flagged"]
        else ()
        for each in results
    ]


def from_environment(variables: str, what: str) -> Endpoint:
    """The endpoint that variables such as SELFEDIT_JUDGE_URL, _MODEL and _KEY name.

    Args:
        what: needs it, at the beginning of a sentence.

    Raises:
        UserError: they are not set, or say something impossible.
    """
    url, model = (os.environ.get(f"{variables}_{name}", "").strip() for name in ("URL", "MODEL"))
    if not url or not model:
        missing = f"{variables}_URL" if not url else f"{variables}_MODEL"
        raise UserError(
            f"{what} needs {missing}: export {variables}_URL=http://localhost:8000/v1 {variables}_MODEL=NAME, and "
            f"{variables}_KEY where the endpoint asks for one."
        )
    if not url.startswith(("http://", "https://")) or not _has_host(url):
        raise UserError(f"{variables}_URL is '{brief(url)}': it must begin with http:// or https:// and a host.")
    return Endpoint(url, model, os.environ.get(f"{variables}_KEY", "").strip(), variables=variables)


def brief(text: str) -> str:
    """A text as one line of at most 60 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


class _AgainError(Exception):
    """An attempt that failed in a way that may pass; `after` is how many seconds the server asked to be left alone."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


def _seconds(value: str | None) -> float:
    """A Retry-After header in seconds, given as a number or as a date; 0 for none."""
    if not value:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        from email.utils import parsedate_to_datetime

        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except ValueError:
            return 0.0


def _plain(error: object) -> str:
    if isinstance(error, (TimeoutError, socket.timeout)):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__
