"""Pages as HTML and as Markdown: complete, self-contained, and harmless whatever a model wrote."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from selfedit.report import (
    Bullets,
    EditCard,
    Figure,
    Page,
    Paragraph,
    Point,
    Reply,
    Section,
    Series,
    SideBySide,
    Table,
    line_chart,
    to_html,
    to_markdown,
)

EVIL = "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>\x00\ud800 \"'>"
VOID = {"meta", "br", "img", "link"}
CHART = line_chart([Series("s", (Point(0, 0.1), Point(1, 0.2)))], title="Chart")


def page(text: str) -> Page:
    card = EditCard(text, text, (Reply(text, text, text, True), Reply(text, text, text, False)), text)
    blocks = (
        Paragraph(text),
        Bullets((text, text)),
        Table(text, (text, "n"), ((text, "1"),), text),
        Figure("chart", CHART, text),
        SideBySide(card, card, text),
    )
    sections = tuple(Section(f"{index} {text}", blocks) for index in range(3))
    return Page(text, sections, text)


class Reader(HTMLParser):
    """Collects tags and attributes, and holds that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(key, value or "") for key, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_html_is_whole_and_loads_nothing() -> None:
    text = to_html(page(EVIL))
    text.encode("utf-8")
    reader = read(text)
    assert not {"script", "img", "link", "iframe", "object"} & set(reader.tags)
    keys = {key for key, _ in reader.attributes}
    assert not {key for key in keys if key.startswith("on")} | keys & {"src", "srcset", "data", "action"}
    assert all(value.startswith("#s") for key, value in reader.attributes if key == "href")
    styles = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    assert not re.search(r"url\(|@import|https?:", styles)


def test_html_adds_no_tag_for_anything_a_text_holds() -> None:
    assert read(to_html(page(EVIL))).tags == read(to_html(page("plain"))).tags


def test_html_shows_what_it_was_given() -> None:
    card = EditCard(
        "Best", "\nline 1\n  <line 2>", (Reply("Q?", "yes", "no & <no>", False), Reply("R?", "a", "", True))
    )
    text = to_html(Page("Run", (Section("Edits", (SideBySide(card, card),)),)))
    assert '<pre dir="auto">\n\nline 1\n  &lt;line 2&gt;</pre>' in text
    shown = read(text).text
    for part in ("Run", "Edits", "1 of 2 right", "Q?", "expected: yes", "no & <no>", "(no answer)", "✓", "✗"):
        assert part in shown
    assert "expected: a" not in shown


def test_html_lists_its_contents_once_there_are_some() -> None:
    assert '<a href="#s2">2 x</a>' in to_html(page("x"))
    assert "<nav>" not in to_html(Page("p", (Section("one"),)))


def test_chart_is_within_the_page() -> None:
    assert to_html(page("x")).count(CHART) == 3


def test_markdown_is_plain_text_but_for_our_own_markup() -> None:
    text = to_markdown(page("# <b>*x*</b> [a](http://b) | `c`\n\n---\n1. y"))
    outside = re.sub(r"(?ms)^(`{3,})text$.*?^\1$", "", text)
    assert not re.search(r"(?<!\\)<b>|(?<!\\)\[a|(?<!\\)`c", outside)
    assert "\n---\n1." not in outside
    for row in re.findall(r"(?m)^\|.*\|$", outside):
        assert len(re.findall(r"(?<!\\)\|", row)) in (3, 5)


def test_markdown_fences_outlast_what_they_hold() -> None:
    text = to_markdown(Page("p", (Section("s", (SideBySide(EditCard("a", "```\n````\nx"), EditCard("b", "y")),)),)))
    assert "`````text\n```\n````\nx\n`````\n" in text
    assert "```text\ny\n```" in text


@pytest.mark.parametrize(
    ("given", "shown"), [("- a", r"\- a"), ("1. a", r"1\. a"), ("1.5 of", "1.5 of"), ("---", r"\---")]
)
def test_markdown_paragraphs_start_no_list(given: str, shown: str) -> None:
    assert to_markdown(Page("p", (Section("s", (Paragraph(given),)),))) == f"# p\n\n## s\n\n{shown}\n"


def test_markdown_links_charts_only_where_they_will_be() -> None:
    assert "![x](<files/chart.svg>)" in to_markdown(page("x"), "files")
    assert "chart" not in to_markdown(page("x"))
    assert page("x").figures == {"chart": CHART}


def test_names_of_figures() -> None:
    with pytest.raises(ValueError, match="name of a figure"):
        Figure("../x", CHART)
    two = Page("p", (Section("s", (Figure("a", CHART), Figure("a", CHART.replace("Chart", "Other")))),))
    with pytest.raises(ValueError, match="two figures"):
        _ = two.figures


def test_needs_neither_torch_nor_transformers() -> None:
    code = "import sys, selfedit.report; print(sorted({'torch', 'transformers', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
