"""What goes to stdout: tables for people, one JSON object for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfedit.text.harmless import harmless, harmless_json
from selfedit.types import Evaluation, GateFigure

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDE = 110
_NUMBER = re.compile(r"-|\d+(\.\d+)?%?")

RIGHT, WRONG = "✓", "✗"

ASKED_BY = {
    "file": "the question file",
    "documents": "questions that came with the documents",
    "model": "the model itself",
    "feedback": "people who saw its answers",
}


def print_json(value: Mapping[str, Any]) -> None:
    """Print the one object that a command with --json prints."""
    print(harmless_json(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)))


def print_json_line(value: Mapping[str, Any]) -> None:
    """The same on one line, for files that hold one object a line."""
    print(harmless_json(json.dumps(value, ensure_ascii=False, allow_nan=False)))


def say(text: str = "") -> None:
    """Print a line as it is, wrapped only by the terminal; what could move its cursor is written out."""
    console().print(Text(harmless(text)), soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "", totals: bool = False) -> None:
    """Print rows under columns, numbers to the right; `totals` sets the last row apart.

    What comes from documents and models is shown as it is, never read as markup.
    """
    rows = list(rows)
    shown = Table(
        title=harmless(title) or None, title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="bold"
    )
    for index, column in enumerate(columns):
        right = bool(rows) and all(_is_number(row[index]) for row in rows)
        shown.add_column(Text(harmless(column)), justify="right" if right else "left", overflow="fold")
    for index, row in enumerate(rows):
        last = totals and index == len(rows) - 1
        shown.add_row(*(Text(harmless(cell)) for cell in row), style="bold" if last else None)
    console().print(shown)


def console() -> Console:
    """A console for this process's stdout, made anew because tests exchange it; wide where it is no terminal."""
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=max(made.width, _WIDE))


def accuracy(evaluations: Sequence[Evaluation]) -> float | None:
    """The share of right answers in all evaluations; None if there are none."""
    verdicts = [answer.verdict.correct for evaluation in evaluations for answer in evaluation.answers]
    return sum(verdicts) / len(verdicts) if verdicts else None


def percent(share: float | None) -> str:
    """A share as people read it."""
    return "-" if share is None else f"{100 * share:.1f}%"


def mark(correct: bool) -> str:
    """The sign of a verdict."""
    return RIGHT if correct else WRONG


def curve(values: Sequence[float], width: int = 60) -> str:
    """A line of blocks as high as the values, averaged down to `width` of them."""
    if not values:
        return ""
    width = min(width, len(values))
    edges = [len(values) * index // width for index in range(width + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    steps = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round((mean - low) / ((high - low) or 1) * steps)] for mean in means)


def print_gates(figures: Sequence[GateFigure]) -> None:
    """Say what each gate saw, a line each."""
    for index, figure in enumerate(figures):
        say(f"{'' if index else 'Gates':<10} {mark(figure.passed)} {figure.gate}: {figure.text}")


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None
