"""What people do on the page, sent as a browser without JavaScript sends it."""

from __future__ import annotations

import html
import time
from pathlib import Path

import httpx

from selfedit.serve.settings import Learning
from selfedit.store import Store
from tests.lineage import FACTS, SETTINGS
from tests.serve.conftest import Taught, running
from tests.serve.page.common import session_over

NAME = "../../<script>alert(1)</script>.md"


def test_upload_look_reject_approve_roll_back_and_correct(taught: Taught, tmp_path: Path) -> None:
    fact = FACTS["bird"]
    session = session_over(taught, tmp_path / "store")
    Store.open(tmp_path / "store", create=True).set_rules(b"approval: always\n", "rules.yaml")
    browser = {"accept": "text/html"}
    with (
        running(session, learning=Learning(settings=SETTINGS)) as server,
        httpx.Client(base_url=server.url, headers=browser, timeout=60, follow_redirects=True) as client,
    ):
        assert client.post("/documents", files={"file": ("x.exe", b"MZ")}).status_code == 415
        upload = {"file": (NAME, f"# {fact.title}\n\n{fact.text}\n".encode())}
        questions = f'{{"question": "{fact.question}", "answer": "{fact.answer}"}}'
        page = client.post("/documents", files=upload, data={"questions": questions})
        assert page.status_code == 200 and "<script>alert" not in page.text
        assert "&lt;script&gt;.md" in page.text or "script&gt;.md" in page.text
        until_there(client, "/jobs", "Look at p1")
        assert 'hx-trigger="every' not in client.get("/jobs").text  # Nothing more comes by itself.
        assert (
            "waits for approval" in client.get("/lineage").text and 'href="/versions/p1"' in client.get("/pending").text
        )
        held = html.unescape(client.get("/versions/p1").text)
        for text in (fact.text, fact.question, "Approve", "Reject", session.show("p1").adapter_sha256):
            assert text in held
        answer = client.post("/answer", data={"question": fact.question, "name": "selfedit:p1"})
        assert 'href="/versions/p1"' in answer.text  # It can be tried first.
        assert client.post("/versions/p1/reject", data={"why": " "}).status_code == 400
        assert client.post("/versions/p1/approve", data={"adapter": "0" * 64}).status_code == 409
        made = client.post("/versions/p1/approve", data={"adapter": session.show("p1").adapter_sha256})
        assert made.url.path == "/versions/v1" and "Go back to the base" in made.text
        assert client.post("/rollback").url.path == "/lineage"
        active: list[str | None] = [session.store.active]
        assert client.post("/versions/v1/use").url.path == "/versions/v1"
        assert [*active, session.store.active] == [None, "v1"]
        said = client.post("/feedback", data={"question": fact.question, "answer": "<b>heron</b>"})
        assert said.url.path == "/feedback" and "&lt;b&gt;heron&lt;/b&gt;" in said.text and "next update" in said.text
        assert client.post("/feedback", data={"question": "q"}).status_code == 400
    assert "approved" in {entry.action for entry in session.store.audit.entries()}


def until_there(client: httpx.Client, path: str, text: str) -> None:
    for _ in range(1_200):
        if text in (page := client.get(path).text):
            return
        time.sleep(0.1)
    raise AssertionError(page)
