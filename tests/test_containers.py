"""What the container files say has to be so: no image is built here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import yaml

from selfedit.serve.guard import OPEN

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def test_what_is_copied_is_there_and_nothing_else_is_sent() -> None:
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]
    }
    assert copied and all((ROOT / name).exists() for name in copied)
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignore
    assert {line[1:] for line in ignore if line.startswith("!")} == copied


def test_compose_names_what_the_dockerfile_has() -> None:
    arguments = set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))
    for service in COMPOSE["services"].values():
        assert service["build"]["args"].keys() <= arguments
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["command"][0] == "serve"
    assert re.search(r"^USER (?!root|0)", DOCKERFILE, re.MULTILINE)


def test_the_extras_are_those_of_the_package() -> None:
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', DOCKERFILE)
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{extra} = \[", declared, re.MULTILINE) for extra in extras.split(","))


def test_the_health_check_tells_a_server_that_answers_from_one_that_failed() -> None:
    (line,) = re.findall(r"^    CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)
    program, *arguments = json.loads(line)
    assert program == "python" and any(path in arguments[-1] for path in OPEN)

    class Health(BaseHTTPRequestHandler):
        status = 200

        def do_GET(self) -> None:
            self.send_response(self.status if self.path in OPEN else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing on stderr."""

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        arguments[-1] = arguments[-1].replace(":8000/", f":{server.server_port}/")

        def check() -> int:
            return subprocess.run([sys.executable, *arguments], capture_output=True, check=False).returncode

        assert check() == 0
        Health.status = 503
        assert check() != 0
        server.shutdown()
        thread.join()
    assert check() != 0, "nobody listens"
