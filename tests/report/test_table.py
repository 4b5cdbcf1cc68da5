from __future__ import annotations

import csv
import io
import re

import pytest

from selfedit.report.table import Table, comparison_table


def read_csv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_csv_round_trip() -> None:
    rows = (("a,b", 'say "x"'), ("two\nlines", "1.5"), ("'", " spaced "), ("-3.5", "+2e-3"), ("-1.0 to +2.0", "-"))
    table = Table("t", ("name", "value"), rows)
    assert read_csv(table.to_csv()) == [["name", "value"], *map(list, rows)]


def test_csv_keeps_a_row_together_whatever_ends_its_lines() -> None:
    table = Table("", ("x", "y"), (("a\rb\r\nc", "\ud800"),))
    assert read_csv(table.to_csv()) == [["x", "y"], ["a\nb\nc", "\ufffd"]]


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "-1.0 to =2", "--1"])
def test_csv_runs_no_formula(cell: str) -> None:
    assert read_csv(Table("", ("x",), ((cell,),)).to_csv())[1] == [f"'{cell}"]


def test_markdown_keeps_each_cell_in_its_place() -> None:
    text = Table("T*", ("name", "n"), (("a|b\nc", "1"), ("<b>", "-2.5"), ("`x`\\", "1.0 to 2.0"))).to_markdown()
    title, table = text.split("\n\n")
    assert title == r"**T\***"
    assert table.splitlines() == [
        "| name | n |",
        "| --- | ---: |",
        r"| a\|b c | 1 |",
        r"| \<b\> | -2.5 |",
        r"| \`x\`\\ | 1.0 to 2.0 |",
    ]


def test_html_escapes_and_aligns() -> None:
    text = Table("a<b", ("<i>", "n"), (("<script>x</script>", "1"),), note="&").to_html()
    assert "<script" not in text
    assert "&lt;script&gt;x&lt;/script&gt;" in text
    assert "<caption>a&lt;b</caption>" in text
    assert '<td class="right">1</td>' in text
    assert "<figcaption>&amp;</figcaption>" in text


def test_rows_fit_the_columns() -> None:
    with pytest.raises(ValueError, match="3 cells for 2 columns"):
        Table("t", ("a", "b"), (("1", "2", "3"),))


def test_comparison_says_only_what_the_data_do() -> None:
    base = [[0, 0, 1, 0]] * 20
    conditions = {
        "better": [[1, 0, 1, 0], [0, 1, 1, 1]] * 10,
        "base": base,
        "worse": [[0, 0, 0, 0]] * 20,
        "noise": [[1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 1, 0]] * 5,
    }
    table = comparison_table(conditions, "base")
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == list(conditions)
    assert rows["base"] == ("80", "25.0", "25.0 to 25.0", "-", "-", "reference")
    assert (rows["better"][1], rows["better"][3], rows["better"][5]) == ("62.5", "+37.5", "better")
    assert (rows["worse"][3], rows["worse"][5]) == ("-25.0", "worse")
    assert rows["noise"][5] == "not distinguishable"
    low, high = map(float, rows["noise"][4].split(" to "))
    assert low < 0 < high
    assert "20 passage(s)" in table.note
    assert "by chance" in table.note


def test_comparison_on_one_passage_claims_nothing() -> None:
    table = comparison_table({"a": [[1, 1, 1]], "b": [[0, 0, 0]]}, "b")
    assert table.rows[0] == ("a", "3", "100.0", "-", "+100.0", "-", "not distinguishable")
    assert re.search("no interval", table.note)


def test_comparison_needs_its_reference_and_the_same_questions() -> None:
    with pytest.raises(ValueError, match="'c' is not among"):
        comparison_table({"a": [[1]]}, "c")
    with pytest.raises(ValueError, match="paired"):
        comparison_table({"a": [[1, 0]], "b": [[1]]}, "b")
