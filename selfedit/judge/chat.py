"""One question to an OpenAI-compatible chat endpoint, asked again until it is answered or hope is lost."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LONGEST_PAUSE = 60.0


class UnreachableError(Exception):
    """The endpoint gave no answer; the message is the last reason and never holds the key."""


@dataclass(frozen=True)
class Endpoint:
    """A chat endpoint. `url` is the base, such as http://localhost:8000/v1; `pause` is in seconds and doubles.

    `stop`, once set, ends all waiting: a caller that gives up need not wait for its other threads' retries.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    attempts: int = 6
    pause: float = 1.0
    timeout: float = 60.0
    stop: Event = field(default_factory=Event, repr=False, compare=False)

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
        return self._persist(lambda: self._post(json.dumps(body).encode()))

    def _persist(self, attempt: Callable[[], str]) -> str:
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

    def _post(self, body: bytes) -> str:
        headers = {"Content-Type": "application/json", "User-Agent": "selfedit"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                reply = json.loads(response.read())
            text = reply["choices"][0]["message"]["content"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code in _RETRIED:
                    raise _AgainError(f"HTTP {error.code}", _seconds(error.headers.get("Retry-After"))) from None
                raise UnreachableError(f"HTTP {error.code} {error.reason}{_hint(error.code)}") from None
        except urllib.error.URLError as error:
            raise _AgainError(_plain(error.reason)) from None
        except (OSError, http.client.HTTPException) as error:
            raise _AgainError(_plain(error)) from None
        except (ValueError, KeyError, IndexError, TypeError):
            raise _AgainError("its reply is not a chat completion, check SELFEDIT_JUDGE_URL") from None
        return text if isinstance(text, str) else ""


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


def _hint(code: int) -> str:
    if code in (401, 403):
        return ", check SELFEDIT_JUDGE_KEY"
    return ", check SELFEDIT_JUDGE_URL and SELFEDIT_JUDGE_MODEL" if code in (400, 404, 422) else ""
