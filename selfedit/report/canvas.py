"""What all charts are drawn with: a canvas that writes SVG, axes with round ticks, colours for light and dark.

Lengths are in the units of the view box, which are pixels where the chart is shown at its own size.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass, field

from selfedit.report.escaping import markup

WIDTH = 640.0
LINE = 15.0
"""The height of a line of text."""

# Okabe and Ito's colours, which colour-blind readers tell apart; where one is too pale or too dark for its ground,
# a neighbour of it.
STYLE = """
.chart{width:100%;max-width:640px;height:auto;color-scheme:light dark;color:#1b1b1b;font:12px system-ui,sans-serif;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#b35a88;--c4:#b07800;--c5:#3d8fc0;--heat:86,180,233}
.chart text{fill:currentColor}.chart .head{font-size:13px;font-weight:600}.chart .soft{opacity:.7}
.chart .axis{stroke:currentColor;stroke-opacity:.55}.chart .grid{stroke:currentColor;stroke-opacity:.13}
.chart .end{text-anchor:end}.chart .middle{text-anchor:middle}.chart line,.chart path:not(.band){fill:none}
@media (prefers-color-scheme:dark){.chart{color:#e6e6e6;
--c0:#56b4e9;--c1:#f28b4b;--c2:#2fc39a;--c3:#dd9cc0;--c4:#e6b040;--c5:#8fc7f0;--heat:0,114,178}}
"""
"""Of all charts. Beside it no attribute of a chart is style, so that a page may allow this one and no other."""
_COLOURS = 6
_DASHES = ("", "6 3", "2 3", "8 3 2 3")


def colour(index: int) -> str:
    """The colour of the index-th thing, as a CSS value; they come round again after six."""
    return f"var(--c{index % _COLOURS})"


def dashes(index: int) -> str:
    """The attribute that sets apart lines whose colours have come round."""
    pattern = _DASHES[index // _COLOURS % len(_DASHES)]
    return f' stroke-dasharray="{pattern}"' if pattern else ""


def text_width(text: str) -> float:
    """About how wide a text is at 12 px. No font is at hand to ask, so rather too wide than too narrow."""
    return sum(12.0 if unicodedata.east_asian_width(char) in "WF" else 6.8 for char in text)


def shorten(text: str, width: float) -> str:
    """As much of the text, as one line, as fits; with an ellipsis where something is missing."""
    text = " ".join(text.split())
    if text_width(text) <= width:
        return text
    while text and text_width(text) + 6.8 > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


@dataclass(frozen=True)
class Scale:
    """A linear map from `low`..`high` in the data to `start`..`stop` on the canvas."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


@dataclass(frozen=True)
class Ticks:
    """Round numbers in order, as far apart as `step`."""

    values: tuple[float, ...]
    step: float

    def label(self, value: float) -> str:
        """A tick with as many decimals as tell it from the next."""
        if self.step < 1e-6 or max(map(abs, self.values)) >= 1e9:
            return f"{value:.6g}"
        return f"{value:,.{max(0, -math.floor(math.log10(self.step)))}f}"

    def within(self, low: float, high: float) -> Ticks:
        """Those between two values, with a little to spare for rounding."""
        spare = self.step * 1e-6
        return Ticks(tuple(v for v in self.values if low - spare <= v <= high + spare), self.step)


def widened(low: float, high: float) -> tuple[float, float]:
    """A range to draw: the given one, or room about it if it is a single value."""
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    pad = abs(low) * 0.1 or 0.5
    return low - pad, high + pad


def round_ticks(low: float, high: float, about: int = 5, whole: bool = False) -> Ticks:
    """Multiples of 1, 2 or 5 times a power of ten, the first at or below `low`, the last at or above `high`.

    `whole` keeps them to whole numbers. `low` must be below `high`.
    """
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    if whole:
        step = max(1.0, step)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step))) + 1
    return Ticks(tuple(round(index * step, digits) + 0.0 for index in range(first, last + 1)), step)


def spread(places: list[float], gap: float, low: float, high: float) -> list[float]:
    """Places close to those wanted, in the same order, at least `gap` apart and, if they fit, in `low`..`high`."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    placed = list(places)
    floor = low
    for index in order:
        placed[index] = floor = max(places[index], floor)
        floor += gap
    ceiling = high
    for index in reversed(order):
        placed[index] = ceiling = min(placed[index], ceiling)
        ceiling -= gap
    return placed


@dataclass
class Canvas:
    """Collects elements and writes them as one SVG. Text is escaped here and nowhere else."""

    title: str
    width: float = WIDTH
    height: float = 320.0
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, classes: str = "", extra: str = "") -> None:
        """Write one line whose baseline is at y; `classes` may be end or middle, soft, head."""
        named = f' class="{classes}"' if classes else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{named}{extra}>{markup(text)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float, attributes: str) -> None:
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {attributes}/>')

    def path(self, points: list[tuple[float, float]], attributes: str, closed: bool = False) -> None:
        steps = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self.parts.append(f'<path d="M{steps}{"Z" if closed else ""}" {attributes}/>')

    def rect(self, x: float, y: float, width: float, height: float, attributes: str, hint: str) -> None:
        box = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        self.parts.append(f"<rect {box} {attributes}><title>{markup(hint)}</title></rect>")

    def circle(self, x: float, y: float, radius: float, attributes: str, hint: str) -> None:
        at = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"'
        self.parts.append(f"<circle {at} {attributes}><title>{markup(hint)}</title></circle>")

    def heading(self, below: str = "") -> None:
        """The title, and under it what goes up, written level so that no one tilts the head."""
        self.text(0, 13, shorten(self.title, self.width / 1.1), "head")
        self.text(0, 31, shorten(below, self.width), "soft")

    def x_axis(self, scale: Scale, y: float, ticks: Ticks, label: str) -> None:
        """A base line with ticks under it, and its label under them."""
        self.line(scale.start, y, scale.stop, y, 'class="axis"')
        for value in ticks.values:
            self.line(scale(value), y, scale(value), y + 4, 'class="axis"')
            self.text(scale(value), y + 17, ticks.label(value), "middle soft")
        self.text((scale.start + scale.stop) / 2, y + 34, shorten(label, self.width), "middle soft")

    def y_axis(self, scale: Scale, left: float, right: float, ticks: Ticks) -> None:
        """Faint lines at the ticks, with their values to the left."""
        for value in ticks.values:
            self.line(left, scale(value), right, scale(value), 'class="grid"')
            self.text(left - 7, scale(value) + 4, ticks.label(value), "end soft")

    def svg(self) -> str:
        """The whole chart. It carries its style along and refers to nothing outside itself."""
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" class="chart" '
            f'role="img">\n<title>{markup(self.title)}</title>'
            f"<style>{STYLE}</style>\n{body}\n</svg>\n"
        )
