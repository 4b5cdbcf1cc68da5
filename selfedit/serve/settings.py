"""What the server is told, and the bounds that it keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """Bounds on what one request and all of them may take.

    Attributes:
        rows: sequences decoded at once.
        queue: answers that may wait for their turn; more are refused with 429.
        max_tokens: of an answer whose request does not say.
        seconds: from a request's arrival to the end of its answers.
        body_bytes, body_seconds: of a request's body, and for it to arrive.
        messages, choices: of one request.
        top_logprobs: alternatives told a token.
    """

    rows: int = 64
    queue: int = 128
    max_tokens: int = 256
    seconds: float = 300.0
    body_bytes: int = 1_000_000
    body_seconds: float = 30.0
    messages: int = 1_000
    choices: int = 16
    top_logprobs: int = 20


@dataclass(frozen=True)
class ServeSettings:
    """Where the server listens and who may use it.

    Attributes:
        key_file: who may do what; without one, everybody who reaches the port may do all.
        read_only: whether the store is never written.
        runs: the folder of experiments that the page shows.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    key_file: Path | None = None
    read_only: bool = False
    runs: Path = Path("runs")
    limits: Limits = field(default_factory=Limits)
