"""`selfedit serve`: what is wrong is said in one line before the model is loaded; and it starts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.cli.run import Cli


def test_no_store(cli: Cli, tmp_path: Path) -> None:
    assert "There is no store at" in cli.refused("serve", store=tmp_path / "none")


def test_a_port_in_use(cli: Cli, store: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = cli.refused("serve", "--port", str(port), store=store, torch=True)
    assert line == f"Cannot listen on 127.0.0.1:{port}: address already in use. Name another port with --port."


def test_a_host_that_is_not_here(cli: Cli, store: Path) -> None:
    assert "Name this machine with --host" in cli.refused(
        "serve", "--host", "no.such.host.invalid", store=store, torch=True
    )


def test_a_key_file_that_others_can_read(cli: Cli, store: Path, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("ask 0123456789abcdef\n")
    path.chmod(0o644)
    line = cli.refused("serve", "--key-file", path, store=store)
    assert line == f"Others can read or write the key file {path} (mode 644). Run: chmod 600 {path}"


def test_a_base_that_is_not_there(cli: Cli, store: Path) -> None:
    for model, why in (
        ("smollm2-135", "Unknown model 'smollm2-135'. Did you mean 'smollm2-135m'?"),
        ("none.gguf", "No file none.gguf. Check the path"),
    ):
        assert why in cli.refused("serve", "--model", model, "--port", "0", store=store, torch=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--learning-share", "1"), "--learning-share is 1: give more than 0 and less than 1."),
        (("--learning-pause", "0"), "--learning-pause is 0: give more than 0 and at most 60 seconds."),
        (("--watch", "none"), "There is no folder none"),
        (("--watch", ".", "--read-only"), "--watch learns, and --read-only writes nothing"),
        (("--learn-settings", "none.yaml"), "Cannot read none.yaml"),
        (("--learn-settings", "edit.yaml"), "Unknown setting 'edit'. Did you mean 'edit"),
        (("--learn-settings", "peft.yaml"), "inner_loop is 'peft': a server learns with 'batched' alone."),
    ],
)
def test_learning_that_cannot_be(
    cli: Cli, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "edit.yaml").write_text("edit: 3\n")
    (tmp_path / "peft.yaml").write_text("inner_loop: peft\n")
    monkeypatch.chdir(tmp_path)
    assert said in cli.refused("serve", *arguments, store=store, torch=True)


def test_a_missing_extra(cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr("selfedit.serve.server.find_spec", lambda name: None if name == "uvicorn" else object())
    line = cli.refused("serve", store=store, torch=True)
    assert line == "serve needs uvicorn. Install what it needs with: pip install 'selfedit[serve]'"


def test_it_starts_answers_and_ends(cli: Cli, tiny: Path, tmp_path: Path) -> None:
    """A store without a version: the base answers."""
    from selfedit.store import Store

    Store.open(tmp_path / "store", create=True)
    command = [sys.executable, "-m", "selfedit", "serve", "--port", "0", "--model", str(tiny), "--json"]
    with subprocess.Popen(
        [*command, "--store", str(tmp_path / "store")],
        env=os.environ | cli.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        said = ""
        while not said.endswith("}\n"):
            said += (line := process.stdout.readline())
            assert line, process.stderr.read()
        url = json.loads(said)["url"]
        body = {"model": "selfedit", "messages": [{"role": "user", "content": "Who?"}], "max_tokens": 3}
        answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).json()
        assert answer["selfedit"]["version"] == "base"
        process.send_signal(signal.SIGINT)
        lines = process.stderr.read().splitlines()
        assert process.wait(30) in (0, 130)
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    assert [line["event"] for line in logged] == ["ready", "request"]
    assert logged[1]["route"] == "/v1/chat/completions" and "Who?" not in "".join(lines)
