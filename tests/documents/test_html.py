"""HTML."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfedit.documents import Document, NotADocumentError
from selfedit.documents.html import HtmlReader


def read(tmp_path: Path, text: str) -> Document:
    path = tmp_path / "my_page.html"
    path.write_text(text, encoding="utf-8")
    [document] = HtmlReader().read(path)
    return document


def pairs(document: Document) -> list[tuple[str, str]]:
    return [(section.heading, section.text) for section in document.sections]


def body(tmp_path: Path, text: str) -> str:
    [(heading, text)] = pairs(read(tmp_path, text))
    assert heading == ""
    return text


PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>The
 Page &amp; more</title><style>p { color: red }</style><script>var x = "<p>no</p>";</script></head>
<body><nav><ul><li><a href="/">Home</a></ul></nav>
<h2>Cells &ndash; basics</h2>
<p>A <b>cell</b>
   is small.<p>Second&nbsp;paragraph<br>with a break.
<div>Loose text <div>inner</div> tail</div>
<h3>Table</h3>
<table><caption>Sizes</caption><tr><th>Kind<th>Size</tr><tr><td></td><td><p>1</p><p>mm</p></td></tr></table>
<h2>List</h2><ul><li>one<ul><li>inner</ul><li>two <p>more</p></ul>
<script>document.write("no")</script><svg><title>icon</title><text>no</text></svg><template>no</template>
</body></html>"""


def test_a_page(tmp_path: Path) -> None:
    document = read(tmp_path, PAGE)
    assert document.title == "The Page & more"
    assert pairs(document) == [
        (
            "Cells - basics".replace("-", "\u2013"),
            "A cell is small.\n\nSecond paragraph\nwith a break.\n\nLoose text\n\ninner\n\ntail",
        ),
        ("Cells \u2013 basics > Table", "Sizes\nKind | Size\n| 1 mm"),
        ("List", "- one\n  - inner\n- two\nmore"),
    ]


def test_h1_goes_before_title(tmp_path: Path) -> None:
    document = read(tmp_path, "<title>Site</title><h1>Real <i>title</i></h1><p>x")
    assert (document.title, pairs(document)) == ("Real title", [("", "x")])
    assert read(tmp_path, "<p>x").title == "My page"


def test_a_head_without_end_hides_nothing(tmp_path: Path) -> None:
    document = read(tmp_path, "<html><head><title>T</title><meta name=a><p>seen</p>")
    assert (document.title, pairs(document)) == ("T", [("", "seen")])


def test_preformatted_text_keeps_its_lines(tmp_path: Path) -> None:
    assert body(tmp_path, "<p>a</p><pre>def f():\n    return  1\n</pre>b") == "a\n\ndef f():\n    return  1\n\nb"


def test_inline_tags_do_not_break_words(tmp_path: Path) -> None:
    assert body(tmp_path, "<p>H<sub>2</sub>O and <a href=x>lin</a>ks") == "H2O and links"


def test_broken_markup(tmp_path: Path) -> None:
    assert body(tmp_path, "</ul></table></h1></p></nav><td>a</td><li>b</pre> c <") == "a\n- b\n\nc <"
    assert pairs(read(tmp_path, "<h2>Open<p>text</p><p>more")) == [("Open", "text\n\nmore")]


def test_nested_table_and_heading_in_table(tmp_path: Path) -> None:
    text = "<table><tr><td>a<td><table><tr><td>b<td>c</table><td>d</table>"
    assert body(tmp_path, text).replace("\n", " ").split() == ["a", "|", "b", "|", "c", "|", "d"]
    assert pairs(read(tmp_path, "<table><tr><td><h2>H</h2>x</table>")) == [("H", "x")]


def test_lone_surrogate_references_become_text(tmp_path: Path) -> None:
    body(tmp_path, "<p>a&#xD800;b&#0;c").encode()


@pytest.mark.parametrize("text", ["<title>t</title>", "<script>x", "<h1>t</h1>", "<p>&nbsp;</p>", "<nav>x</nav>"])
def test_no_text(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotADocumentError):
        read(tmp_path, text)
