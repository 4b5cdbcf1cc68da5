"""What a server that learns refuses: uploads, roles, what is not there, and all that writes where it only reads."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from selfedit.serve.keys import Keys, Role
from selfedit.serve.settings import Limits
from tests.serve.conftest import running
from tests.serve.learning import LEARNING, new_library, upload

KEYS = {Role.ASK: "ask-0123456789abcdef", Role.TEACH: "teach-0123456789abcdef", Role.APPROVE: "approve-0123456789ab"}
NAMES = {Role.ASK: "asker", Role.TEACH: "tess", Role.APPROVE: "ana"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[httpx.Client]:
    """A server with keys and small limits, over a store without a version; whoever asks may do all."""
    folder = tmp_path_factory.mktemp("small")
    library = new_library(folder, model)
    keys = Keys([(role, key, NAMES[role]) for role, key in KEYS.items()])
    with running(library.session(), keys, Limits(upload_bytes=60_000, upload_seconds=3.0), learning=LEARNING) as one:
        with httpx.Client(base_url=one.url, timeout=60, headers=_as(Role.APPROVE)) as client:
            yield client
        assert not list((folder / "store" / "uploads").glob("job-*"))  # What was refused left nothing.


def _as(role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[role]}"}


@pytest.mark.parametrize(
    ("files", "form", "status", "message"),
    [
        ([("file", ("a.exe", b"MZ"))], {}, 415, "its name has to end in .htm"),
        ([("file", ("../../etc/passwd", b"x"))], {}, 415, "Cannot tell the format of 'passwd'"),
        ([("file", ("a.pdf", b"no pdf"))], {}, 415, "a.pdf"),
        ([("file", ("a.md", b"   \n"))], {}, 415, "a.md holds only whitespace"),
        ([("file", ("a.txt", b"\x00\xff\xfe\x01"))], {}, 415, "a.txt"),
        ([("file", ("a.md", b"text"))], {"questions": "{"}, 400, "questions, line 1: not JSON"),
        (
            [("file", ("a.md", b"text"))],
            {"questions": '{"question": "q", "answer": "a", "title": "Other"}'},
            400,
            "No document is called 'Other'",
        ),
        ([("file", ("a.md", b"text"))] * 17, {}, 400, "At most 16 files"),
        ([], {"title": "x"}, 400, "file: "),
        ([("file", ("a.md", b"text"))] * 2, {"title": "x"}, 400, "A title is for one file"),
        ([("file", ("a.md", b"x" * 70_000))], {}, 413, "at most 60000 bytes"),
    ],
)
def test_an_upload_that_cannot_be_learnt(
    small: httpx.Client, files: list[Any], form: dict[str, str], status: int, message: str
) -> None:
    answer = small.post("/v1/documents", files=files, data=form)
    assert answer.status_code == status, answer.text
    assert message in answer.json()["error"]["message"]
    assert small.get("/v1/documents").json()["data"] == []


def test_an_upload_that_never_ends(small: httpx.Client) -> None:
    url = small.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=30) as raw:
        key = _as(Role.TEACH)["Authorization"]
        head = f"POST /v1/documents HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {key}\r\nContent-Length: 9000\r\n\r\n"
        raw.sendall(head.encode() + b"--")
        assert raw.recv(100).startswith(b"HTTP/1.1 408")


def test_what_is_not_there(small: httpx.Client) -> None:
    for method, path, status, message in (
        ("GET", "/v1/versions/v9", 404, "There is no version 'v9'"),
        ("POST", "/v1/versions/v9/use", 404, "There is no version 'v9'"),
        ("POST", "/v1/versions/v1/approve", 404, "Nothing waits as 'v1'"),
        ("POST", "/v1/versions/..%2f..%2fetc/approve", 404, ""),
        ("GET", "/v1/documents/job-0", 404, "There is no job 'job-0'"),
        ("DELETE", "/v1/documents/job-0", 404, "There is no job 'job-0'"),
    ):
        answer = small.request(method, path)
        assert answer.status_code == status and message in answer.json()["error"]["message"], answer.text
    assert small.post("/v1/versions/p1/reject", json={"why": ""}).status_code == 400
    assert small.post("/v1/versions/p1/reject", json={"why": "no"}).status_code == 404
    assert small.post("/v1/feedback", json={"question": "q"}).status_code == 400
    assert small.post("/v1/feedback", json={"question": "q", "answer": "x" * 501}).status_code == 400


def test_each_role_may_do_its_own(small: httpx.Client) -> None:
    for role, method, path, body in (
        (Role.ASK, "POST", "/v1/feedback", {"question": "q", "answer": "a"}),
        (Role.ASK, "POST", "/v1/documents", None),
        (Role.ASK, "DELETE", "/v1/documents/job-0", None),
        (Role.TEACH, "POST", "/v1/versions/v1/use", None),
        (Role.TEACH, "POST", "/v1/versions/rollback", {}),
        (Role.TEACH, "POST", "/v1/versions/p1/approve", {}),
        (Role.TEACH, "POST", "/v1/versions/p1/reject", {"why": "no"}),
    ):
        files = [("file", ("a.md", b"text"))] if path == "/v1/documents" else None
        answer = small.request(method, path, json=body, files=files, headers=_as(role))
        assert answer.status_code == 403, (path, answer.text)
        assert f"yours is '{role.name.lower()}'" in answer.json()["error"]["message"]
        assert answer.json()["error"]["type"] == "permission_error"
    for path in ("/v1/documents", "/v1/versions", "/v1/pending", "/v1/feedback"):
        assert small.get(path, headers=_as(Role.ASK)).status_code == 200
        assert small.get(path, headers={"Authorization": "Bearer no"}).status_code == 401
    given = {"question": "Who?", "wrong": True}
    assert small.post("/v1/feedback", json=given, headers=_as(Role.TEACH)).json()["who"] == "tess"


def test_read_only(tmp_path: Path, model: Path) -> None:
    library = new_library(tmp_path, model)
    session = library.session()
    library.learnt(session, "lamp")
    before = sorted(path for path in (tmp_path / "store").rglob("*"))
    with running(session, read_only=True) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        for method, path, body in (
            ("POST", "/v1/versions/v1/use", None),
            ("POST", "/v1/versions/rollback", {}),
            ("POST", "/v1/feedback", {"question": "q", "answer": "a"}),
            ("DELETE", "/v1/documents/job-0", None),
        ):
            answer = http.request(method, path, json=body)
            assert answer.status_code == 403 and "--read-only" in answer.json()["error"]["message"], answer.text
        assert upload(http, "bird").status_code == 403
        assert http.get("/v1/documents").json()["data"] == []
        assert http.get("/v1/versions").json()["active"] == "v1"
    assert sorted(path for path in (tmp_path / "store").rglob("*")) == before


def test_a_damaged_store_is_said_and_the_server_goes_on(tmp_path: Path, model: Path) -> None:
    library = new_library(tmp_path, model)
    session = library.session()
    library.learnt(session, "lamp")
    with running(session, learning=LEARNING) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        (tmp_path / "store" / "versions" / "v1" / "version.json").write_text("{")
        answer = http.get("/v1/versions")
        assert answer.status_code == 500 and "Version v1" in answer.json()["error"]["message"]
        body = {"model": "base", "prompt": "The lamp", "max_tokens": 2}
        assert http.post("/v1/completions", json=body).status_code == 200
        assert http.get("/v1/documents").status_code == 200
