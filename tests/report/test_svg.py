"""Charts: well-formed, inside their box, nothing loaded, everything that was given."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from selfedit.report.canvas import round_ticks, shorten, spread, text_width, widened
from selfedit.report.svg import Point, Series, Values, distribution, heat_map, line_chart, scatter

NASTY = "<script>alert('x')</script> & \"q\" ]]> \x00 \ud800"
SVG = "{http://www.w3.org/2000/svg}"


def line(name: str, ys: Sequence[float], half: float | None = None) -> Series:
    return Series(
        name,
        tuple(
            Point(i, y, None if half is None else y - half, None if half is None else y + half)
            for i, y in enumerate(ys)
        ),
    )


CHARTS = {
    "lines": line_chart([line(NASTY, [0.1, 0.5, 0.3], 0.1), line("b", [0.2])], title=NASTY, x_label=NASTY),
    "one interval": line_chart([line("b", [0.2], 0.1)], title="t"),
    "many lines": line_chart([line(f"line {i}", [i, 0.5]) for i in range(25)], title="t"),
    "no line": line_chart([], title="t"),
    "not finite": line_chart([Series("a", (Point(0, math.nan), Point(1, 2, -math.inf, 3)))], title="t"),
    "scatter": scatter([Point(i % 3, i % 2, label=NASTY) for i in range(30)], title=NASTY, diagonal=True),
    "no point": scatter([], title="t"),
    "dots": distribution([Values(NASTY, (0.1, 0.1, 0.4)), Values("none", ())], title=NASTY, x_label=NASTY),
    "bars": distribution([Values("a", tuple(i % 7 for i in range(500)))], title="t"),
    "no group": distribution([], title="t"),
    "heat": heat_map([[0.5], [0.2, None], [0.1, math.nan, 1.0]], [NASTY, "b", "c"], list("abc"), title=NASTY),
    "large heat": heat_map([[0.5] * 80] * 80, ["row"] * 80, ["column"] * 80, title="t"),
    "no heat": heat_map([], [], [], title="t"),
}


@pytest.mark.parametrize("name", CHARTS)
def test_well_formed_and_self_contained(name: str) -> None:
    chart = CHARTS[name]
    chart.encode("utf-8")
    root = ElementTree.fromstring(chart)
    assert root[0].tag == f"{SVG}title"
    assert root[0].text
    known = {"svg", "title", "style", "text", "line", "path", "rect", "circle"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= known
    assert not {key for element in root.iter() for key in element.attrib} & {"href", "src", "onload"}
    assert not re.search(r"url\(|@import|nan|inf(?!o)", chart.replace("@media", ""))


@pytest.mark.parametrize("name", CHARTS)
def test_nothing_lies_outside(name: str) -> None:
    root = ElementTree.fromstring(CHARTS[name])
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    for element in root.iter():
        xs = [float(element.attrib[key]) for key in ("x", "x1", "x2", "cx") if key in element.attrib]
        ys = [float(element.attrib[key]) for key in ("y", "y1", "y2", "cy") if key in element.attrib]
        numbers = [float(n) for n in re.findall(r"-?[\d.]+", element.attrib.get("d", ""))]
        assert all(0 <= x <= width for x in xs + numbers[::2]), element.attrib
        assert all(0 <= y <= height for y in ys + numbers[1::2]), element.attrib
        if element.tag == f"{SVG}text" and element.text:
            _text_is_inside(element, width)


def _text_is_inside(element: ElementTree.Element, width: float) -> None:
    at, wide = float(element.attrib["x"]), text_width(element.text or "")
    classes = element.attrib.get("class", "").split()
    start = at - wide if "end" in classes else at - wide / 2 if "middle" in classes else at
    # Estimated widths are generous, so a label centred on the last tick may seem to stick out a little.
    assert start >= -4, element.text
    assert start + wide <= width + 4, element.text


def texts(chart: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(chart).iter(f"{SVG}text")]


def count(chart: str, tag: str) -> int:
    return len(list(ElementTree.fromstring(chart).iter(f"{SVG}{tag}")))


def test_lines_are_named_and_have_their_points() -> None:
    chart = line_chart([line("up", [0, 1]), line("down", [1, 0])], title="T", x_label="X", y_label="Y")
    assert {"T", "X", "Y", "up", "down"} <= set(texts(chart))
    assert count(chart, "circle") == 4


def test_names_at_line_ends_do_not_cover_each_other() -> None:
    chart = line_chart([line(f"line {i}", [0.5, 0.5]) for i in range(12)], title="T")
    places = sorted(
        float(element.attrib["y"])
        for element in ElementTree.fromstring(chart).iter(f"{SVG}text")
        if (element.text or "").startswith("line ")
    )
    assert len(places) == 12
    assert all(b - a >= 14.9 for a, b in pairwise(places))


def test_a_higher_value_is_drawn_higher() -> None:
    root = ElementTree.fromstring(line_chart([line("a", [0.2, 0.8])], title="T"))
    first, second = (float(circle.attrib["cy"]) for circle in root.iter(f"{SVG}circle"))
    assert second < first


def test_distribution_draws_each_value_until_there_are_too_many() -> None:
    few = distribution([Values("a", (0.1, 0.1, 0.9))], title="T")
    assert (count(few, "circle"), count(few, "rect")) == (3, 0)
    many = distribution([Values("a", (0.1,) * 90 + (0.9,) * 10)], title="T")
    assert (count(many, "circle"), count(many, "rect")) == (0, 2)
    tall, low = (float(bar.attrib["height"]) for bar in ElementTree.fromstring(many).iter(f"{SVG}rect"))
    assert tall == pytest.approx(9 * low, rel=0.05)


def test_heat_map_has_a_cell_a_value() -> None:
    chart = heat_map([[0.5], [0.25, None], [0.1, 0.2, 1.0]], list("abc"), list("xyz"), title="T")
    assert count(chart, "rect") == 5
    assert {"0.50", "0.25", "0.10", "0.20", "1.00"} <= set(texts(chart))
    with pytest.raises(ValueError, match="label"):
        heat_map([[1.0, 2.0]], ["a"], ["x"], title="T")


def test_scatter_labels_never_cover_each_other() -> None:
    chart = scatter([Point(0.5, 0.5, label=f"same place {i}") for i in range(9)], title="T")
    assert sum(text.startswith("same") for text in texts(chart)) == 2, "one at the right, one at the left"
    apart = scatter([Point(i, i, label=f"p{i}") for i in range(5)], title="T")
    assert sum(text.startswith("p") for text in texts(apart)) == 5


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.31, 0.46, ["0.30", "0.35", "0.40", "0.45", "0.50"]),
        (-3.0, 12.0, ["-5", "0", "5", "10", "15"]),
        (0.0, 30000.0, ["0", "10,000", "20,000", "30,000"]),
    ],
)
def test_ticks_are_round_and_cover(low: float, high: float, labels: list[str]) -> None:
    ticks = round_ticks(low, high)
    assert [ticks.label(value) for value in ticks.values] == labels


@pytest.mark.parametrize(("low", "high"), [(1e-9, 3e-9), (0.0, 1e12), (-1e-3, 1e3), (5.0, 5.0), (1e6, 1e6 + 1)])
def test_ticks_of_any_size(low: float, high: float) -> None:
    low, high = widened(low, high)
    ticks = round_ticks(low, high)
    assert 3 <= len(ticks.values) <= 8
    assert ticks.values[0] <= low + 1e-6 * ticks.step
    assert ticks.values[-1] >= high - 1e-6 * ticks.step
    assert len({ticks.label(value) for value in ticks.values}) == len(ticks.values)


def test_whole_ticks() -> None:
    assert round_ticks(0, 2, whole=True).values == (0, 1, 2)


def test_spread_and_shorten() -> None:
    assert spread([5, 5, 40], 10, 0, 50) == [5, 15, 40]
    assert spread([49, 50], 10, 0, 50) == [40, 50]
    assert shorten("short", 100) == "short"
    assert shorten("much too long a text", 60) == "much to…"
