"""What is wrong with a Ray is said before a model is loaded."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.executors import check_executor, ray_connect
from selfedit.experiments.config import load_config
from selfedit.experiments.start import train
from selfedit.progress import QuietProgress
from tests.experiments.data import write_config


@pytest.fixture(autouse=True)
def _new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_connect, "version", lambda name: "2.60.0")
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_no_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(ray_connect, "version", missing)
    config = load_config(write_config(tmp_path, engine__executor="ray"))
    with pytest.raises(UserError, match=r"pip install 'selfedit\[ray\]'"):
        train(config, tmp_path / "run", "cpu", QuietProgress())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("found", ["2.51.3", "1.13.0", "2.9.0"])
def test_a_ray_that_is_too_old(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(ray_connect, "version", lambda name: found)
    with pytest.raises(UserError, match=f"Ray {found} is too old"):
        check_executor("ray")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "127.0.0.1:1 does not answer"),
        ("no.such.host.invalid:6379", "does not answer"),
        ("ray://head:10001", "a client's"),
        ("head", "HOST:PORT"),
    ],
)
def test_an_address_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, address: str, said: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UserError, match=said):
        check_executor("ray")


def test_a_cluster_of_this_machine_needs_no_token(monkeypatch: pytest.MonkeyPatch, listening: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", listening)
    check_executor("ray")


def test_authentication_off_elsewhere(monkeypatch: pytest.MonkeyPatch, listening: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", listening)
    monkeypatch.setattr(ray_connect, "_is_local", lambda host: False)
    with pytest.raises(UserError, match="authentication off"):
        check_executor("ray")


def test_an_executor_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Unknown executor 'rai'\. Did you mean 'ray'\?"):
        load_config(write_config(tmp_path, engine__executor="rai"))
