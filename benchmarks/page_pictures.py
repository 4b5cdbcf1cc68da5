"""The pictures of the page in the docs: a server over a copy of a store, asked and looked at in headless Chromium.

    python -m benchmarks.page_pictures --store STORE [--out docs/images]

STORE has what `make demo` learnt. Nothing in it is changed. Needs playwright and chromium.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from selfedit.serve.app import make_app
from selfedit.serve.server import bound_socket
from selfedit.serve.service import Service
from selfedit.serve.settings import ServeSettings
from selfedit.session import Session

QUESTION = "How long is the probation period at Lumen Harbor?"
WAIT_MS = 900_000
"""For an answer on a machine that has other work."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME", help="pictures that are not taken")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        shutil.copytree(options.store, store)
        with serving(store) as url:
            photograph(url, options.out, options.without)


@contextmanager
def serving(store: Path) -> Iterator[str]:
    """The address of a server over a store."""
    settings = ServeSettings(port=0)
    app = make_app(Service(Session(None, store), settings), None)
    with bound_socket(settings.host, 0) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.05)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def photograph(url: str, out: Path, without: list[str]) -> None:
    """Take all pictures but some, each named by page and scheme."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, path, scheme, height in (
            ("version", "/versions/v1", "dark", 1080),
            ("lineage", "/lineage", "light", 460),
            ("ask", "/", "light", 560),
        ):
            if name in without:
                continue
            page = browser.new_page(viewport={"width": 1080, "height": height}, color_scheme=scheme)
            page.set_default_timeout(WAIT_MS)
            page.goto(url + path)
            {"ask": ask, "version": unfold}.get(name, lambda page: None)(page)
            page.screenshot(path=out / f"page-{name}-{scheme}.png")
        browser.close()


def ask(page: Any) -> None:
    """Ask both models, and wait for both."""
    page.get_by_label("Question").fill(QUESTION)
    page.keyboard.press("Enter")
    page.locator("section.answer").nth(1).wait_for()


def unfold(page: Any) -> None:
    """Show what is behind the first passage."""
    page.locator("details.passage summary").first.click()
    page.mouse.move(0, 0)


if __name__ == "__main__":
    main()
