"""A report in a real browser: nothing is cut off, and only tables that are too wide scroll, in boxes of their own."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from selfedit.report import Figure, Interval, Page, Section, comparison_table, intervals, to_html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# What the page is asked, in the test's copy of it alone: the shipped page runs no script.
ASK = """<script>document.title = [document.documentElement.scrollWidth, window.innerWidth,
Math.max(...[...document.querySelectorAll("td:last-child")].map(cell => cell.getBoundingClientRect().right))].join(" ")
</script>"""


def page() -> str:
    names = ("no update", "passage in context", "trained on the passage alone", "own edits, after round 2")
    values = {name: [[float((i + j) % 3 == 0) for j in range(5)] for i in range(8)] for name in names}
    chart = intervals([Interval(name, 8.3, 0.0, 33.3, "8.3") for name in names], title="t", reference=8.3)
    blocks = (Figure("chart", chart, "A caption."), comparison_table(values, "no update", title="How many are right"))
    return to_html(Page("selfedit: a run", (Section("Result", blocks),), "One sentence says what came out."))


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")
@pytest.mark.parametrize("width", [1200, 1024])
def test_nothing_scrolls_sideways_on_a_desktop(tmp_path: Path, width: int) -> None:
    page_width, window, verdict = measured(tmp_path, width)
    assert page_width <= window
    assert verdict <= window  # The last column is seen whole.


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")
def test_on_a_phone_the_table_scrolls_and_not_the_page(tmp_path: Path) -> None:
    page_width, window, verdict = measured(tmp_path, 500)  # Headless Chromium has no narrower window.
    assert page_width <= window < verdict


def measured(folder: Path, width: int) -> tuple[float, float, float]:
    """The page's width, the window's, and where the last column of its table ends."""
    assert CHROMIUM is not None
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page())
    (folder / "page.html").write_text(html.replace("</body>", f"{ASK}</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    options += [
        "--disable-background-networking",
        "--disable-component-update",
        f"--user-data-dir={folder / 'profile'}",
    ]
    command = [CHROMIUM, *options, f"--window-size={width},900", "--dump-dom", (folder / "page.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    title = re.search(r"<title>([\d. ]+)</title>", dom)
    assert title is not None, dom[:500]
    page_width, window, verdict = map(float, title[1].split())
    return page_width, window, verdict
