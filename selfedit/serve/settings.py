"""What the server is told, and the bounds that it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
        upload_bytes, upload_seconds: of the body that brings documents; `files` may be in it.
        jobs: that may wait to be learnt; more are refused with 429.
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
    upload_bytes: int = 16_000_000
    upload_seconds: float = 120.0
    files: int = 16
    jobs: int = 100


@dataclass(frozen=True)
class Learning:
    """How the server learns while it answers.

    Attributes:
        share: of the time that learning has while answers are live, between 0 and 1.
        slice_s: seconds for which answers stand still for it at most, besides one layer of the model.
        settings: of `Session.learn`.
        device: where it learns, if not on the weights of the model that answers: then nobody waits for the other.
    """

    share: float = 0.5
    slice_s: float = 0.1
    settings: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None


@dataclass(frozen=True)
class ServeSettings:
    """Where the server listens and who may use it.

    Attributes:
        key_file: who may do what; without one, everybody who reaches the port may do all.
        read_only: whether the store is never written: nothing is learnt, no feedback taken, no version made active.
        watch: a folder whose documents are learnt.
        runs: the folder of experiments that the page shows.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    key_file: Path | None = None
    read_only: bool = False
    runs: Path = Path("runs")
    limits: Limits = field(default_factory=Limits)
    watch: Path | None = None
    learning: Learning = field(default_factory=Learning)
