"""The page in a real browser: a document is uploaded, learnt, approved and asked about, on a phone's width."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from selfedit.serve.settings import Learning
from selfedit.store import Store
from tests.lineage import FACTS, SETTINGS
from tests.serve.conftest import Taught, another, running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_MS = 120_000
PATHS = ("/", "/lineage", "/documents", "/pending", "/feedback", "/runs", "/versions/v1")


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")
def test_a_document_is_uploaded_learnt_approved_and_asked_about(taught: Taught, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    session = another(taught.folder)
    session._store_path = tmp_path / "store"
    Store.open(tmp_path / "store", create=True).set_rules(b"approval: always\n", "rules.yaml")
    with running(session, learning=Learning(settings=SETTINGS)) as server, playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 375, "height": 812})
        page.set_default_timeout(WAIT_MS)
        said: list[str] = []  # What a policy forbids, the browser says there.
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        learn_and_approve(page, server.url)
        assert session.store.active == "v1" and not session.store.ids("p")
        ask_and_correct(page, server.url)
        assert [each.answer for each in session.store.feedback.all()] == ["Mara Quill"]
        for path in PATHS:
            page.goto(server.url + path)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        assert said == []
        browser.close()


def learn_and_approve(page: Any, url: str) -> None:
    fact = FACTS["lamp"]
    text = f"# {fact.title}\n\n{fact.text}\n".encode()
    page.goto(f"{url}/documents")
    page.get_by_label("Documents", exact=True).set_input_files(
        {"name": "lamp.md", "mimeType": "text/markdown", "buffer": text}
    )
    page.get_by_text("Title and questions of your own").click()
    page.get_by_label("Questions, one a line").fill(f'{{"question": "{fact.question}", "answer": "{fact.answer}"}}')
    page.get_by_role("button", name="Learn").click()
    page.get_by_role("link", name="Look at p1").click()  # It comes by itself, when it is learnt.
    assert fact.text in page.inner_text(".diff")
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url("**/versions/v1")
    page.get_by_text("active", exact=True).first.wait_for()


def ask_and_correct(page: Any, url: str) -> None:
    page.goto(url)
    page.get_by_label("Question").fill(FACTS["lamp"].question)
    page.keyboard.press("Enter")
    page.locator("section.answer").nth(1).wait_for()
    answers = page.locator("section.answer")
    assert [answers.nth(i).locator(".badge").inner_text() for i in (0, 1)] == ["base", "v1"]
    assert "Marrowfen" in answers.nth(1).inner_text()
    answers.nth(1).get_by_text("Not right?").click()
    answers.nth(1).get_by_label("The right answer").fill("Mara Quill")
    answers.nth(1).get_by_role("button", name="Save it").click()
    page.get_by_text("Noted").wait_for()
