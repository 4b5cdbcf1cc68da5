"""From settings to a running server. What can be wrong is said before the model is loaded."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec

from selfedit.errors import UserError
from selfedit.serve.settings import ServeSettings
from selfedit.session import Session

_NEEDED = ("fastapi", "uvicorn", "prometheus_client", "jinja2", "python_multipart")
_GRACE_S = 10
_KEEP_S = 75
"""For which an idle connection stays open: longer than clients keep theirs (httpx 5 s, proxies 60), since a request on
one that is just being closed is lost."""


def serve(session: Session, settings: ServeSettings, ready: Callable[[str], None]) -> None:
    """Serve until the process is told to end.

    Args:
        ready: called with the server's address once the model is loaded and requests are taken.

    Raises:
        UserError: the extra is not installed, the key file is not good, there is no store, the port is not free, or the
            model cannot be loaded.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise UserError(f"serve needs {missing[0]}. Install what it needs with: pip install 'selfedit[serve]'")
    from selfedit.serve.keys import read_keys

    keys = read_keys(settings.key_file) if settings.key_file is not None else None
    session.store.ids()
    if settings.read_only and settings.watch is not None:
        raise UserError("--watch learns, and --read-only writes nothing: leave one of them out.")
    if not settings.read_only:
        from selfedit.serve.learning.check import check_learning

        check_learning(session, settings)
    with bound_socket(settings.host, settings.port) as listening:
        import uvicorn

        from selfedit.serve.app import make_app
        from selfedit.serve.logs import log, write_to_stderr
        from selfedit.serve.service import Service

        write_to_stderr()
        app = make_app(Service(session, settings), keys)
        port = listening.getsockname()[1]
        log("ready", host=settings.host, port=port, model=session.model_name, keys=keys is not None)
        ready(f"http://{f'[{settings.host}]' if ':' in settings.host else settings.host}:{port}")
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=_GRACE_S,
            timeout_keep_alive=_KEEP_S,
        )
        with suppress(KeyboardInterrupt):  # How a server is ended.
            uvicorn.Server(config).run(sockets=[listening])


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes any that is free.

    Raises:
        UserError: there is no such host here, or the port is taken or not for this user.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError, OverflowError) as error:
        raise UserError(f"Cannot listen on {host}:{port}: {error}. Name this machine with --host.") from error
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"Cannot listen on {host}:{port}: {reason}. Name another port with --port.") from error
    return listening
