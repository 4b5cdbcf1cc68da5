"""Values to look at: grids in colour, in the terminal and as SVG; texts as they are."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from selfedit.report.escaping import markup
from selfedit.types import Grid, Value

PALETTE = ("#000000", "#1e78d2", "#e0423a", "#35b24a", "#f2cf2d", "#9a9a9a", "#d43ea6", "#f08a2c", "#74c8ee", "#8a1f3d")
"""Colours 0 to 9, near to those in which the tasks are usually shown."""

_CELL, _GAP = 14, 24
_FONT = 'font-family="system-ui,sans-serif" font-size="12"'


def in_terminal(value: Value) -> RenderableType:
    """A grid as coloured cells with their digits, two columns a cell; or the text."""
    if isinstance(value, str):
        return Text(value)
    rows = []
    for row in value:
        line = Text()
        for cell in row:
            ink = "black" if cell in (4, 5, 7, 8) else "white"
            line.append(f"{cell} ", style=f"{ink} on {PALETTE[cell]}")
        rows.append(line)
    return Group(*rows)


def side_by_side(titles: Sequence[str], values: Sequence[Value]) -> RenderableType:
    """Values beside each other, each under its title."""
    table = Table(box=None, padding=(0, 3, 1, 0))
    for title in titles:
        table.add_column(title, justify="left")
    table.add_row(*(in_terminal(value) for value in values))
    return table


def row_svg(titles: Sequence[str], values: Sequence[Value | None]) -> str:
    """An SVG of values beside each other, each under its title; None leaves a word in place of a value."""
    grids = [value for value in values if isinstance(value, tuple)]
    height = 20 + _CELL * max((len(grid) for grid in grids), default=2)
    parts, x = [], 0
    for title, value in zip(titles, values, strict=True):
        width = _CELL * len(value[0]) if isinstance(value, tuple) else 8 * len(_words(value)) + 8
        parts.append(f'<text x="{x}" y="12" {_FONT} fill="currentColor">{markup(title)}</text>')
        if isinstance(value, tuple):
            parts.append(_cells(value, x, 20))
        else:
            parts.append(f'<text x="{x}" y="34" {_FONT} fill="currentColor">{markup(_words(value))}</text>')
        x += max(width, 8 * len(title)) + _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {x} {height + 4}" width="{x}" height="{height + 4}" '
        f'role="img">{"".join(parts)}</svg>'
    )


def stacked_svg(rows: Sequence[str]) -> str:
    """SVGs below each other, as one."""
    sizes = [tuple(map(int, row.partition('viewBox="0 0 ')[2].partition('"')[0].split())) for row in rows]
    width, y, parts = max(size[0] for size in sizes), 0, []
    for row, (_, height) in zip(rows, sizes, strict=True):
        parts.append(row.replace("<svg ", f'<svg y="{y}" ', 1))
        y += height + 8
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" role="img">{"".join(parts)}</svg>'


def _cells(grid: Grid, x: int, y: int) -> str:
    return "".join(
        f'<rect x="{x + _CELL * column}" y="{y + _CELL * row}" width="{_CELL}" height="{_CELL}" '
        f'fill="{PALETTE[cell]}" stroke="#555555" stroke-width="0.5"/>'
        for row, cells in enumerate(grid)
        for column, cell in enumerate(cells)
    )


def _words(value: Value | None) -> str:
    return value if isinstance(value, str) else "nothing that can be read"
