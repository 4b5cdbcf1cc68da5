"""Documents sent to a server over HTTP, and what becomes of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx

from selfedit.models import load
from selfedit.serve.settings import Learning
from selfedit.store import Store
from tests.lineage import FACTS, SETTINGS, Library

LEARNING = Learning(slice_s=0.02, settings=SETTINGS)


def new_library(folder: Path, model: Path, rules: str = "") -> Library:
    library = Library(folder, model, load(str(model), device="cpu", dtype="float32"))
    store = Store.open(folder / "store", create=True)
    if rules:
        store.set_rules(rules.encode(), "rules.yaml")
    return library


def upload(http: httpx.Client, *names: str, text: str = "", questions: bool = True, **form: str) -> httpx.Response:
    files = [
        ("file", (f"{name}.md", f"# {FACTS[name].title}\n\n{text or FACTS[name].text}\n".encode())) for name in names
    ]
    rows = [{"question": FACTS[name].question, "answer": FACTS[name].answer} for name in names]
    lines = {"questions": "".join(json.dumps(row) + "\n" for row in rows)} if questions else {}
    return http.post("/v1/documents", files=files, data=lines | form)


def ended(http: httpx.Client, id: str, *states: str) -> dict[str, Any]:
    """A job, when it is in one of some states, by default any in which nothing more comes of it by itself."""
    wanted = states or ("learned", "rejected", "failed", "cancelled", "waiting")
    for _ in range(2400):
        job: dict[str, Any] = http.get(f"/v1/documents/{id}").json()
        if job["state"] in wanted:
            return job
        time.sleep(0.05)
    raise AssertionError(job)
