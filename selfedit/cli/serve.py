"""`selfedit serve`: the versions of a store behind an HTTP interface."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from selfedit.cli import options, output
from selfedit.files.disk import reading
from selfedit.files.yaml_file import read_mapping
from selfedit.progress import make_progress
from selfedit.serve.settings import Learning, ServeSettings
from selfedit.session import Session

_DEFAULT = ServeSettings()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "serve",
        epilog=options.examples("selfedit serve", "selfedit serve --host 0.0.0.0 --port 8080 --key-file keys.txt"),
    )(_serve)


def _serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 is all.")] = _DEFAULT.host,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")] = _DEFAULT.port,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            metavar="FILE",
            help="Lines 'ROLE KEY [NAME]', roles ask, teach, approve. Without it, whoever reaches the port may do all.",
            show_default=False,
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Never write to the store: nothing is learnt.")
    ] = False,
    watch: Annotated[
        Path | None,
        typer.Option("--watch", metavar="FOLDER", help="Learn its documents, too.", show_default=False),
    ] = None,
    runs: Annotated[
        Path, typer.Option("--runs", metavar="DIR", help="Folder of the experiments that the page shows.")
    ] = _DEFAULT.runs,
    learn_settings: Annotated[
        Path | None,
        typer.Option(
            "--learn-settings",
            metavar="FILE",
            help="YAML of how documents are learnt, as 'edits: 4'; by default as 'learn' does.",
            show_default=False,
        ),
    ] = None,
    learning_share: Annotated[
        float, typer.Option("--learning-share", help="Of the time, while answers are under way; between 0 and 1.")
    ] = _DEFAULT.learning.share,
    learning_pause: Annotated[
        float, typer.Option("--learning-pause", metavar="SECONDS", help="Answers stand still for so long at most.")
    ] = _DEFAULT.learning.slice_s,
    learning_device: Annotated[
        str | None,
        typer.Option(
            "--learning-device",
            metavar="DEVICE",
            help="Learn on another device than answers, as cuda:1, over a copy of the base.",
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
    store: options.StoreDir = options.STORE,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Answer over HTTP, as OpenAI's servers do: /v1/chat/completions, /v1/completions, /v1/models.

    The model 'selfedit' is the active version at the moment of a request, 'selfedit:v3' one of them, 'base' the bare
    model. What comes to /v1/documents is learnt beside it, as by 'learn'; /v1/versions, /v1/pending and /v1/feedback do
    what the commands do. /healthz and /metrics say how the server is; each request is a JSON line on stderr, without
    its texts.
    """
    from selfedit.serve.server import serve

    session = Session(model, store, device, make_progress(quiet or json))

    def ready(url: str) -> None:
        if json:
            output.print_json({"url": url, "model": session.model_name, "active": session.store.active})
        elif not quiet:
            output.say(f"{session.model_name} answers at {url}/v1, as OpenAI's servers do. Ctrl-C ends it.")
            output.say(f"The page is at {url}")
        sys.stdout.flush()

    learning = Learning(learning_share, learning_pause, _settings(learn_settings), learning_device)
    settings = ServeSettings(host, port, key_file, read_only, watch=watch, learning=learning, runs=runs)
    serve(session, settings, ready)


def _settings(file: Path | None) -> dict[str, Any]:
    """The settings of `learn` in a file."""
    if file is None:
        return {}
    with reading(file):
        return read_mapping(file.read_bytes(), str(file))
