"""Charts as self-contained SVG: lines over time, where edits lie, a triangle of accuracies, points against points.

Values that are not finite cannot be drawn and are left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from selfedit.report.canvas import (
    LINE,
    WIDTH,
    Canvas,
    Scale,
    colour,
    dashes,
    round_ticks,
    shorten,
    spread,
    text_width,
    widened,
)

_TOP = 46.0
_FEW_POINTS = 60
_DOT = 3.0
_PITCH = 2 * _DOT + 0.5
_TALLEST_STACK = 8


@dataclass(frozen=True)
class Point:
    """One value, with the interval of y where it is known."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    label: str = ""


@dataclass(frozen=True)
class Series:
    """Points under one name, in the order in which they are joined."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Values:
    """Numbers under one name: the rewards of all edits in one format, say."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Interval:
    """A mean with its interval, where there is one, and how the mean is written."""

    name: str
    mean: float
    low: float | None
    high: float | None
    told: str


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
) -> str:
    """Lines named at their ends. Intervals are a pale band, or an upright line at a point that stands alone."""
    series = [Series(line.name, _drawable(line.points)) for line in series]
    canvas = Canvas(title, height=max(300.0, 100 + LINE * len(series)))
    margin = min(190.0, max((text_width(line.name) for line in series), default=0.0) + 14)
    x, y = _frame(canvas, [p for line in series for p in line.points], (x_label, y_label), margin)
    for index, line in enumerate(series):
        _draw_line(canvas, line, index, x, y)
    ended = [(index, line, line.points[-1]) for index, line in enumerate(series) if line.points]
    places = spread([y(last.y) for _, _, last in ended], LINE, y.stop, y.start)
    for (index, line, last), place in zip(ended, places, strict=True):
        leader = [(x(last.x), y(last.y)), (x.stop + 9, place)]
        canvas.path(leader, f'stroke="{colour(index)}" stroke-opacity=".5"')
        canvas.text(x.stop + 12, place + 4, shorten(line.name, margin - 12))
    return canvas.svg()


def scatter(
    points: Sequence[Point],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
    diagonal: bool = False,
) -> str:
    """Points with their labels, each label only where it covers no other. `diagonal` draws the line y = x."""
    points = _drawable(points)
    canvas = Canvas(title, height=420)
    x, y = _frame(canvas, points, (x_label, y_label), 30)
    low, high = max(x.low, y.low), min(x.high, y.high)
    if diagonal and low < high:
        canvas.line(x(low), y(low), x(high), y(high), 'stroke="currentColor" stroke-opacity=".3"')
    taken = [(x(p.x) - _DOT, y(p.y) - _DOT, x(p.x) + _DOT, y(p.y) + _DOT) for p in points]
    for point in points:
        _draw_interval(canvas, point, 0, x, y)
        hint = f"{point.label} ({point.x:.4g}, {point.y:.4g})".strip()
        canvas.circle(x(point.x), y(point.y), _DOT, f'fill="{colour(0)}" fill-opacity=".75"', hint)
        _label_beside(canvas, shorten(point.label, 160), x(point.x), y(point.y), taken)
    return canvas.svg()


def distribution(
    groups: Sequence[Values], *, title: str, x_label: str = "", x_range: tuple[float, float] | None = None
) -> str:
    """One row a group: a dot a value, stacked where they tie, or bars where stacks grow tall; and a line at the mean.

    Dots are to be counted; bars show shares of their group, on one scale for all rows. `x_range` is what the x-axis
    shows at least.
    """
    groups = [Values(group.name, tuple(filter(math.isfinite, group.values))) for group in groups]
    everything = [*(value for group in groups for value in group.values), *(x_range or ())] or [0.0]
    low, high = widened(min(everything), max(everything))
    left = min(220.0, max([text_width("mean 0.000, n = 0000"), *(text_width(group.name) for group in groups)]) + 12)
    x = Scale(low, high, left + _PITCH, WIDTH - 2 * _PITCH)
    bins = [Counter(round((x(value) - left) / _PITCH) for value in group.values) for group in groups]
    tallest = max((count for counter in bins for count in counter.values()), default=1)
    shares = [c / len(g.values) for g, counter in zip(groups, bins, strict=True) for c in counter.values()]
    dots = tallest <= _TALLEST_STACK
    room = max(2, tallest) * _PITCH if dots else _TALLEST_STACK * _PITCH
    canvas = Canvas(title, height=_TOP + len(groups) * (room + 20) + 40)
    canvas.heading(f"{'dot: one value' if dots else 'bar: share of the values'}; upright line: their mean")
    for index, (group, counter) in enumerate(zip(groups, bins, strict=True)):
        base = _TOP - 12 + (index + 1) * (room + 20) - 8
        canvas.line(x.start - _PITCH, base, x.stop + _PITCH, base, 'class="grid"')
        _name_row(canvas, group, base, left)
        for column, count in sorted(counter.items()):
            at, fill, hint = left + column * _PITCH, f'fill="{colour(index)}"', f"{count} of {len(group.values)}"
            if dots:
                for level in range(count):
                    canvas.circle(at, base - (level + 0.5) * _PITCH, _DOT, fill, hint)
            else:
                tall = room * count / len(group.values) / max(shares)
                canvas.rect(at - _DOT, base - tall, 2 * _DOT, tall, fill, hint)
        if group.values:
            mean = x(fmean(group.values))
            canvas.line(mean, base - room - 2, mean, base + 5, 'stroke="currentColor" stroke-width="1.5"')
    canvas.x_axis(x, canvas.height - 40, round_ticks(low, high).within(low, high), x_label)
    return canvas.svg()


def intervals(rows: Sequence[Interval], *, title: str, x_label: str = "", reference: float | None = None) -> str:
    """A row a condition: its name, a dot at its mean, and a line over its interval; an upright line at `reference`."""
    ends = [v for r in rows for v in (r.mean, r.low, r.high, reference) if v is not None and math.isfinite(v)] or [0.0]
    low, high = widened(min(ends), max(ends))
    left = min(260.0, max(text_width(row.name) for row in rows) + 14)
    canvas = Canvas(title, height=76 + 26.0 * len(rows))
    ticks = round_ticks(low, high)
    x = Scale(ticks.values[0], ticks.values[-1], left + 6, WIDTH - 70)
    floor = canvas.height - 46
    canvas.x_axis(x, floor, ticks, x_label)
    if reference is not None:
        canvas.line(x(reference), 26, x(reference), floor, 'stroke="currentColor" stroke-opacity=".4"')
    for index, row in enumerate(rows):
        at = 40 + 26.0 * index
        canvas.text(0, at + 4, shorten(row.name, left - 6))
        stroke = f'stroke="{colour(0)}" stroke-width="2"'
        if row.low is not None and row.high is not None:
            canvas.line(x(row.low), at, x(row.high), at, stroke)
        canvas.circle(x(row.mean), at, _DOT + 1, f'fill="{colour(0)}"', f"{row.name}: {row.told}")
        canvas.text(WIDTH - 58, at + 4, row.told, "soft")
    return canvas.svg()


def heat_map(
    matrix: Sequence[Sequence[float | None]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    *,
    title: str,
    note: str = "",
    show: Callable[[float], str] = "{:.2f}".format,
) -> str:
    """Cells that are the stronger coloured the higher their value; None, and what a short row lacks, stays empty.

    `show` writes a value. ValueError if labels are missing.
    """
    if len(row_labels) != len(matrix) or len(column_labels) < max(map(len, matrix), default=0):
        raise ValueError("a heat map needs a label for each row and column")
    left = min(200.0, max(map(text_width, row_labels), default=0.0) + 8)
    size = min(64.0, (WIDTH - left) / max(1, len(column_labels)))
    height = min(30.0, max(12.0, size))
    top = _TOP + LINE
    canvas = Canvas(title, height=top + height * len(matrix) + 30)
    canvas.heading(note)
    every = max(1, math.ceil(24 / size))
    for index, label in list(enumerate(column_labels))[::every]:
        canvas.text(left + (index + 0.5) * size, top - 6, shorten(label, size * every - 2), "middle soft")
    cells = [[v if v is not None and math.isfinite(v) else None for v in row] for row in matrix]
    known = [value for row in cells for value in row if value is not None] or [0.0]
    low, high = widened(min(known), max(known))
    for i, row in enumerate(cells):
        if i % math.ceil(LINE / height) == 0:
            canvas.text(left - 8, top + (i + 0.5) * height + 4, shorten(row_labels[i], left - 8), "end soft")
        for j, value in enumerate(row):
            if value is None:
                continue
            fill = f'fill="rgba(var(--heat),{0.1 + 0.8 * (value - low) / (high - low):.3f})"'
            hint = f"{row_labels[i]}, {column_labels[j]}: {show(value)}"
            canvas.rect(left + j * size, top + i * height, size - 1, height - 1, fill, hint)
            if text_width(show(value)) < size - 2 and height >= LINE:
                canvas.text(left + (j + 0.5) * size, top + (i + 0.5) * height + 4, show(value), "middle")
    key = f"pale: {show(min(known))}; strong: {show(max(known))}"
    canvas.text(left, canvas.height - 8, key, "soft")
    return canvas.svg()


def _drawable(points: Sequence[Point]) -> tuple[Point, ...]:
    return tuple(
        p if all(bound is not None and math.isfinite(bound) for bound in (p.low, p.high)) else _bare(p)
        for p in points
        if math.isfinite(p.x) and math.isfinite(p.y)
    )


def _bare(point: Point) -> Point:
    return Point(point.x, point.y, label=point.label)


def _frame(
    canvas: Canvas,
    points: Sequence[Point],
    labels: tuple[str, str],
    margin: float,
) -> tuple[Scale, Scale]:
    """Draw title and axes around the points and return the scales of x and y; `margin` stays free at the right."""
    xs = [p.x for p in points] or [0.0, 1.0]
    ys = [v for p in points for v in (p.y, p.low, p.high) if v is not None] or [0.0, 1.0]
    y_low, y_high = widened(min(ys), max(ys))
    x_low, x_high = widened(min(xs), max(xs))
    whole = all(x == round(x) for x in xs)
    y_ticks = round_ticks(y_low, y_high)
    left = max(text_width(y_ticks.label(value)) for value in y_ticks.values) + 8
    y = Scale(y_ticks.values[0], y_ticks.values[-1], canvas.height - 46, _TOP)
    x = Scale(x_low, x_high, left + 6, canvas.width - margin)
    canvas.heading(labels[1])
    canvas.y_axis(y, left, x.stop, y_ticks)
    canvas.x_axis(x, y.start, round_ticks(x_low, x_high, 6, whole).within(x_low, x_high), labels[0])
    return x, y


def _draw_line(canvas: Canvas, line: Series, index: int, x: Scale, y: Scale) -> None:
    known = [(p.x, p.low, p.high) for p in line.points if p.low is not None and p.high is not None]
    if len(known) > 1:
        upper = [(x(at), y(high)) for at, _, high in known]
        lower = [(x(at), y(low)) for at, low, _ in reversed(known)]
        canvas.path([*upper, *lower], f'class="band" fill="{colour(index)}" fill-opacity=".13"', closed=True)
    elif known:
        canvas.line(x(known[0][0]), y(known[0][1]), x(known[0][0]), y(known[0][2]), f'stroke="{colour(index)}"')
    if len(line.points) > 1:
        where = [(x(p.x), y(p.y)) for p in line.points]
        canvas.path(where, f'stroke="{colour(index)}" stroke-width="2" stroke-linejoin="round"{dashes(index)}')
    if len(line.points) <= _FEW_POINTS:
        for p in line.points:
            canvas.circle(x(p.x), y(p.y), _DOT, f'fill="{colour(index)}"', f"{line.name}: {p.x:.6g}, {p.y:.4g}")


def _draw_interval(canvas: Canvas, point: Point, index: int, x: Scale, y: Scale) -> None:
    if point.low is not None and point.high is not None:
        at = x(point.x)
        canvas.line(at, y(point.low), at, y(point.high), f'stroke="{colour(index)}" stroke-opacity=".5"')


def _label_beside(
    canvas: Canvas, label: str, x: float, y: float, taken: list[tuple[float, float, float, float]]
) -> None:
    """Write a label to the right or left of a point if that covers nothing in `taken`, and take its place there."""
    width = text_width(label)
    for start, classes in ((x + 6, "soft"), (x - 6 - width, "soft end")):
        box = (start, y - 6, start + width, y + 5)
        free = not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken)
        if label and free and box[0] >= 0 and box[2] <= canvas.width:
            canvas.text(x + 6 if classes == "soft" else x - 6, y + 4, label, classes)
            taken.append(box)
            return


def _name_row(canvas: Canvas, group: Values, base: float, left: float) -> None:
    canvas.text(0, base - 16, shorten(group.name, left - 12))
    told = f"mean {fmean(group.values):.3g}, n = {len(group.values)}" if group.values else "none"
    canvas.text(0, base, told, "soft")
