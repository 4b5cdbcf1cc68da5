"""Joins a Ray cluster, or starts a Ray of its own; what is wrong is said in one line, before anything is trained."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from selfedit.errors import UserError

OLDEST = (2, 52)
"""The first Ray with tokens, and with CVE-2025-62593 mended."""
_ANSWER_S = 5.0
_PROBE_S = 60.0


def check_ray() -> None:
    """Whether there is a Ray that can be used, at the address that RAY_ADDRESS gives.

    Raises:
        UserError: there is none, it is too old, it does not answer, or anybody may use it.
    """
    try:
        found = version("ray")
    except PackageNotFoundError:
        raise UserError("engine.executor 'ray' needs Ray: pip install 'selfedit[ray]'.") from None
    numbers = re.match(r"(\d+)\.(\d+)", found)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise UserError(
            f"Ray {found} is too old for engine.executor 'ray': it needs {OLDEST[0]}.{OLDEST[1]} or later, which has "
            "token authentication. pip install -U 'selfedit[ray]'."
        )
    address = os.environ.get("RAY_ADDRESS", "")
    if address in ("", "auto", "local"):
        return
    host, port = _split(address)
    try:
        socket.create_connection((host, port), timeout=_ANSWER_S).close()
    except OSError as error:
        raise UserError(
            f"RAY_ADDRESS {address} does not answer ({error}). Start the cluster, or unset it for a Ray of your own."
        ) from None
    if not _is_local(host):
        _check_token(address)


def connect(cores: int | None = None) -> bool:
    """Join the cluster at RAY_ADDRESS, or start a Ray on this machine. Whether it was started here.

    Raises:
        UserError: it did not work, or other machines are in it and authentication is off.
    """
    address = os.environ.get("RAY_ADDRESS", "") or "local"
    if address == "local":
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # Before Ray is imported, which reads it once.
    import ray

    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False, "configure_logging": False}
    if address == "local":
        options |= {"num_cpus": cores, "include_dashboard": None, "dashboard_host": "127.0.0.1"}
    if not ray.is_initialized():
        try:
            ray.init(address=address, **options)
        except Exception as error:  # Of many kinds, from sockets to tokens.
            text = " ".join(str(error).split())[:300]
            raise UserError(f"Ray at {address} cannot be used: {text}. See docs/scale.md.") from None
    away = [node["NodeManagerAddress"] for node in ray.nodes() if not _is_local(node["NodeManagerAddress"])]
    if away and os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        ray.shutdown()
        raise UserError(_open_to_all(f"The Ray cluster at {address}, with a node at {away[0]},"))
    return address == "local"


def _split(address: str) -> tuple[str, int]:
    if address.startswith("ray://"):
        raise UserError(
            f"RAY_ADDRESS is {address}, a client's: run the command on a machine of the cluster, with the address of "
            "its head (HOST:6379), or hand it in with `ray job submit`."
        )
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise UserError(f"RAY_ADDRESS is '{address}': give it as HOST:PORT, as in 10.0.0.1:6379.")
    return host.strip("[]"), int(port)


def _is_local(host: str) -> bool:
    """Whether an address is this machine's own."""
    import psutil

    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    own = {address.address.partition("%")[0] for addresses in psutil.net_if_addrs().values() for address in addresses}
    return all(each in own or each.startswith("127.") or each == "::1" for each in found)


def _check_token(address: str) -> None:
    """That a cluster on other machines wants a token: it would do what anybody tells it to."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        raise UserError(_open_to_all(f"RAY_ADDRESS {address} is another machine's, and"))
    # Asked without a token, it must not answer.
    without = {k: v for k, v in os.environ.items() if k not in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")}
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", address]
    try:
        asked = subprocess.run(
            command, env={**without, "RAY_AUTH_MODE": "disabled"}, capture_output=True, timeout=_PROBE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return
    if asked.returncode == 0:
        raise UserError(_open_to_all(f"The Ray cluster at {address} answers without a token:"))


def _open_to_all(what: str) -> str:
    return (
        f"{what} has authentication off, so that whoever reaches it may run anything there. Start every node, and this "
        "command, with RAY_AUTH_MODE=token (docs/scale.md)."
    )
