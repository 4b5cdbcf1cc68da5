"""The guard that asks a model: an endpoint on this machine, and a tiny classifier. What cannot be asked about waits."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from selfedit.errors import UserError
from selfedit.guard import Known, make_guard
from selfedit.guard.model import ModelGuard
from selfedit.judge.chat import Endpoint
from tests.guard.make import text
from tests.tiny import make_tiny_tokenizer


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "MODEL", "KEY"):
        monkeypatch.delenv(f"SELFEDIT_GUARD_{name}", raising=False)


@contextmanager
def moderating(rule: Callable[[dict[str, Any]], tuple[int, Any]]) -> Iterator[Endpoint]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, said = rule(body) if self.path == "/v1/moderations" else (404, "")
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Endpoint(f"http://127.0.0.1:{server.server_address[1]}/v1", "m", attempts=2, pause=0.01, timeout=5)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def by_word(body: dict[str, Any]) -> tuple[int, Any]:
    results = [
        {"flagged": "harm" in said, "categories": {"violence\x1b": "harm" in said, "other": False}}
        for said in body["input"]
    ]
    return 200, {"results": results}


def texts(count: int = 3) -> list[Any]:
    return [text("harm" if n == 1 else "plain", id=str(n)) for n in range(count)]


def test_what_the_endpoint_flags_waits() -> None:
    with moderating(by_word) as endpoint:
        (flag,) = ModelGuard(endpoint).screen(texts(40), Known())
    assert (flag.where, flag.why) == ("1", "the guard model says: violence\\x1b")


@pytest.mark.parametrize(
    "reply", [(500, ""), (401, ""), (200, {"results": []}), (200, ["?"]), (200, {"results": [{}, {}, {}]})]
)
def test_unreachable_means_wait_never_fine(reply: tuple[int, Any]) -> None:
    with moderating(lambda body: reply) as endpoint:
        flags = ModelGuard(endpoint).screen(texts(), Known())
    assert [flag.where for flag in flags] == ["0", "1", "2"]
    assert all("it was not screened" in flag.why and "\n" not in flag.why for flag in flags)


def test_nobody_there_means_wait() -> None:
    endpoint = Endpoint("http://127.0.0.1:9/v1", "m", attempts=1)
    assert len(ModelGuard(endpoint).screen(texts(), Known())) == 3


def test_variables_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="needs SELFEDIT_GUARD_MODEL"):
        make_guard("model")
    monkeypatch.setenv("SELFEDIT_GUARD_URL", "localhost:8000")
    monkeypatch.setenv("SELFEDIT_GUARD_MODEL", "m")
    with pytest.raises(UserError, match="SELFEDIT_GUARD_URL is 'localhost:8000'"):
        make_guard("model")


def test_a_classifier_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = make_tiny_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        id2label={0: "SAFE", 1: "INJECTION"},
        label2id={"SAFE": 0, "INJECTION": 1},
        pad_token_id=2,
    )
    classifier = BertForSequenceClassification(config)
    for bias, is_flagged in (((9.0, 0.0), False), ((0.0, 9.0), True)):
        with torch.no_grad():
            classifier.classifier.weight.zero_()
            classifier.classifier.bias.copy_(torch.tensor(bias))
        folder = tmp_path / str(is_flagged)
        classifier.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        monkeypatch.setenv("SELFEDIT_GUARD_MODEL", str(folder))
        flags = make_guard("model").screen([text("long " * 200)], Known())
        assert bool(flags) == is_flagged and (not flags or "INJECTION" in flags[0].why)


def test_a_classifier_that_cannot_be_loaded_means_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFEDIT_GUARD_MODEL", str(tmp_path / "none"))
    flags = make_guard("model").screen(texts(2), Known())
    assert len(flags) == 2 and all("cannot be loaded" in flag.why for flag in flags)
