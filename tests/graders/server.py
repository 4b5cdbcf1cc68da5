"""A chat endpoint on this machine that says what a rule says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, str]
"""An HTTP status, and what the model says (200) or the seconds of Retry-After (else; empty for none)."""


@dataclass
class Judge:
    """Counts what it is asked. `rule` gets a prompt and how often it was asked before."""

    rule: Callable[[str, int], Reply]
    delay: float = 0.0
    url: str = ""
    prompts: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reply(self, path: str, body: dict[str, Any], key: str | None) -> Reply:
        """What the endpoint replies."""
        if path != "/v1/chat/completions":
            return 404, ""
        prompt = body["messages"][-1]["content"]
        with self.lock:
            before = self.prompts.count(prompt)
            self.prompts.append(prompt)
            self.bodies.append(body)
            self.keys.append(key)
            self.times.append(time.monotonic())
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        time.sleep(self.delay)
        with self.lock:
            self.busy -= 1
        return self.rule(prompt, before)


@contextmanager
def serving(judge: Judge) -> Iterator[Judge]:
    """Run a judge at `judge.url` while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, said = judge.reply(self.path, body, self.headers["Authorization"])
            data = json.dumps({"choices": [{"message": {"role": "assistant", "content": said}}]}).encode()
            self.send_response(status)
            if status != 200 and said:
                self.send_header("Retry-After", said)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    judge.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield judge
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
