"""Every page, as a browser without JavaScript gets it, from a server over a tiny model."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from selfedit.files.disk import write_whole
from selfedit.types import DocumentRef, GateFigure, Version
from tests.engine import random_adapter
from tests.serve.conftest import ANSWER_TOKENS, QUESTIONS, Running, Taught, another, running
from tests.store.make import make_version

PATHS = ("/", "/lineage", "/documents", "/pending", "/feedback", "/runs", "/versions/v1", "/versions/v3")
BROWSER = {"accept": "text/html,application/xhtml+xml"}
HOSTILE = "<script>alert(1)</script> \x1b[31m ../../x \u202e'\"&"


@pytest.fixture(scope="module")
def browser(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=BROWSER, timeout=60, follow_redirects=True) as one:
        yield one


def is_safe(answer: httpx.Response) -> bool:
    """Whether a page has its policy, and nothing in it that the policy forbids."""
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy and "frame-ancestors 'none'" in policy and "default-src 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff" and "referrer-policy" in answer.headers
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|https?://(?!www.w3.org)", answer.text), answer.url
    return all("src=" in tag for tag in re.findall(r"<script[^>]*>", answer.text))


def test_every_page_is_whole_under_its_policy(browser: httpx.Client) -> None:
    for path in PATHS:
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert is_safe(answer) and '<html lang="en">' in answer.text and "</html>" in answer.text
        assert answer.text.count("<h1") == 1 and 'href="#main"' in answer.text
        for id in re.findall(r'<label for="(\w+)"', answer.text):
            assert f'id="{id}"' in answer.text
        for asset in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text):
            assert browser.get(asset).status_code == 200


def test_a_program_and_a_browser_are_each_told_of_errors_in_their_form(browser: httpx.Client) -> None:
    for path in ("/nothing", "/versions/v99", "/versions/..%2f..%2fx", "/runs/..%2f..%2fx", "/static/..%2frender.py"):
        page, told = browser.get(path), browser.get(path, headers={"accept": "*/*"})
        assert page.status_code == told.status_code == 404
        assert is_safe(page) and "<h1>404</h1>" in page.text
        assert told.json()["error"]["message"]
    part = browser.post("/ask", data={"question": " "}, headers={"hx-request": "true"})
    assert part.status_code == 400 and part.text.startswith('<p class="notice wrong"')


def test_both_models_answer_as_ask_does(browser: httpx.Client, taught: Taught) -> None:
    asked = {"question": QUESTIONS[0], "left": "base", "right": "selfedit:v3"}
    page = browser.post("/ask", data=asked)
    assert page.status_code == 200 and is_safe(page)
    texts = [html.unescape(text) for text in re.findall(r'<p class="text" dir="auto">(.*?)</p>', page.text, re.S)]
    assert len(texts) == 2
    for text, version in zip(texts, ("base", "v3"), strict=True):
        assert text.startswith(taught.answers[version][QUESTIONS[0]][: ANSWER_TOKENS // 2])
    assert taught.session.show("v3").adapter_sha256[:12] in page.text
    part = browser.post("/ask", data=asked, headers={"hx-request": "true"})
    assert part.text.count('hx-post="/answer"') == 2 and "<html" not in part.text
    one = browser.post("/answer", data={"question": QUESTIONS[0], "name": "selfedit:v2"})
    assert "from “Marrowfen”" in one.text and taught.session.show("v2").adapter_sha256[:12] in one.text
    follow_up = {"question": "Who oils it?", "name": "selfedit:v2", "earlier": [QUESTIONS[1], QUESTIONS[0]]}
    assert "from “Marrowfen”" in browser.post("/answer", data=follow_up).text
    gone = browser.post("/answer", data={"question": "x", "name": "selfedit:v77"})
    assert "There is no model" in gone.text and gone.status_code == 200


def test_a_version_is_told_in_full(browser: httpx.Client, taught: Taught) -> None:
    version = taught.session.show("v1")
    page = html.unescape(browser.get("/versions/v1").text)
    (task,) = version.tasks
    for text in (task.passage, task.probes[0].question, task.probes[0].answers[0], "lamp.md", version.created[:10]):
        assert text in page
    assert "selfedit:v1" in page and version.adapter_sha256[:16] in page
    assert str(taught.folder) not in page.partition("Settings and software")[0]  # Where files lie.


def test_hostile_names_are_shown_and_do_nothing(tmp_path: Path, taught: Taught) -> None:
    made = make_version()
    hostile = replace(
        made,
        base=taught.session.base.ref,
        documents=(DocumentRef(f"/x/{HOSTILE}.md", HOSTILE, "a" * 64),),
        tasks=tuple(replace(task, title=HOSTILE, context=HOSTILE) for task in made.tasks),
        rollouts=tuple(replace(r, edit=replace(r.edit, text=HOSTILE, dropped=(HOSTILE,))) for r in made.rollouts),
        gates=(GateFigure("general", True, HOSTILE),),
        settings={HOSTILE: HOSTILE},
    )
    with store_of(taught, tmp_path, hostile) as client:
        for path in ("/", "/lineage", "/versions/v1", "/documents"):
            page = client.get(path)
            assert page.status_code == 200 and is_safe(page), path
            assert "\x1b" not in page.text and "\u202e" not in page.text and "<script>alert" not in page.text
        assert "&lt;script&gt;alert(1)&lt;/script&gt; \\x1b[31m ../../x" in page.text or path == "/documents"
        asked = client.post("/ask", data={"question": HOSTILE, "left": HOSTILE, "right": "base"})
        assert is_safe(asked) and "<script>alert" not in asked.text and "\x1b" not in asked.text


def test_an_empty_store_and_a_damaged_version(tmp_path: Path, taught: Taught) -> None:
    with store_of(taught, tmp_path) as client:
        for path in ("/", "/lineage", "/documents", "/pending", "/feedback", "/runs"):
            assert client.get(path).status_code == 200, path
        assert "The base model" in client.get("/lineage").text
    made = replace(make_version(), base=taught.session.base.ref, settings={})
    with store_of(taught, tmp_path, made, made) as client:
        write_whole(tmp_path / "store" / "versions" / "v1" / "version.json", b"{")
        tree = client.get("/lineage").text
        assert "damaged" in tree and 'href="/versions/v2"' in tree
        assert client.get("/versions/v2").status_code == 200
        broken = client.get("/versions/v1")
        assert broken.status_code == 409 and "Restore" in broken.text and is_safe(broken)
        for path in ("/", "/documents", "/pending"):
            assert client.get(path).status_code == 200, path


def test_runs_are_shown_with_their_reports(taught: Taught) -> None:
    runs = Path(__file__).parents[2] / "release_0_1" / "stored" / "runs"
    with running(taught.session, runs=runs) as server, page_of(server) as client:
        assert 'href="/runs/train"' in client.get("/runs").text
        report = client.get("/runs/train")
        assert is_safe(report) and "<table>" in report.text and '<svg xmlns="http://www.w3.org/2000/svg"' in report.text


def page_of(server: Running) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers=BROWSER, timeout=60, follow_redirects=True)


class store_of:
    """A browser at a server over a store of some versions, one on top of the other."""

    def __init__(self, taught: Taught, folder: Path, *versions: Version) -> None:
        session = another(taught.folder)
        session._store_path = folder / "store"
        store = session.store.open(folder / "store", create=True)
        for version in versions:
            parent = store.active
            store.commit(replace(version, parent=parent), random_adapter(session.base.model, "x", 2, 1))
        self._server = running(session)

    def __enter__(self) -> httpx.Client:
        self._client = page_of(self._server.__enter__())
        return self._client

    def __exit__(self, *error: object) -> None:
        self._client.close()
        self._server.__exit__(None, None, None)
