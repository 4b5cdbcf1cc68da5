"""Tables of strings, as Markdown, CSV and HTML, and the table that compares conditions honestly."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from selfedit.report.crossed import crossed_difference, crossed_mean
from selfedit.report.escaping import clean, markdown_cell, markdown_line, markup
from selfedit.report.statistics import LEVEL, RESAMPLES, Estimate, Groups, bootstrap_mean, paired_difference

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?%?")
_INTERVAL = re.compile(rf"{_NUMBER.pattern} to {_NUMBER.pattern}")
_TO_THE_RIGHT = re.compile(rf"{_NUMBER.pattern}|{_INTERVAL.pattern}|-?")
# A spreadsheet takes a cell that starts like this for a formula, and a formula can read files and call out.
_FORMULA = ("=", "+", "-", "@", "\t", "\n")


@dataclass(frozen=True)
class Table:
    """Rows of strings under columns. `note` says below the table what a reader has to know.

    ValueError if a row does not have a cell for each column.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {self.title!r} has {len(row)} cells for {len(self.columns)} columns")

    def to_markdown(self) -> str:
        """Title, table and note as Markdown that shows every cell as it is, on one line each."""
        rule = ["---:" if right else "---" for right in self._right()]
        lines = [_markdown_row(map(markdown_cell, self.columns)), _markdown_row(rule)]
        lines += [_markdown_row(map(markdown_cell, row)) for row in self.rows]
        title = f"**{markdown_cell(self.title)}**" if self.title else ""
        return "\n\n".join(part for part in (title, "\n".join(lines), markdown_line(self.note)) if part)

    def to_csv(self) -> str:
        """Columns and rows as CSV, lines ending in a line feed, within cells as well.

        A cell that a spreadsheet would run as a formula gets an apostrophe in front.
        """
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
        writer.writerows([_csv_cell(cell) for cell in row] for row in (self.columns, *self.rows))
        return out.getvalue()

    def to_html(self) -> str:
        """A figure with a table, its title as caption, to be placed in a page."""
        right = self._right()
        caption = f"<caption>{markup(self.title)}</caption>" if self.title else ""
        note = f"<figcaption>{markup(self.note)}</figcaption>" if self.note else ""
        head = _html_row("th", self.columns, right)
        body = "\n".join(_html_row("td", row, right) for row in self.rows)
        return (
            f'<figure class="table"><div class="wide"><table>{caption}\n<thead>\n{head}\n</thead>\n'
            f"<tbody>\n{body}\n</tbody></table></div>{note}</figure>"
        )

    def _right(self) -> list[bool]:
        """Whether each column holds nothing but numbers and intervals, and so is aligned to the right."""
        return [
            any(row[index] for row in self.rows) and all(_TO_THE_RIGHT.fullmatch(row[index]) for row in self.rows)
            for index in range(len(self.columns))
        ]


@dataclass(frozen=True)
class Measure:
    """What a comparison is of: the heading of its column, words for its note, and how its figures are written."""

    column: str
    words: str
    unit: str
    factor: float
    digits: int


ACCURACY = Measure("accuracy, %", "Accuracy in per cent", " in points", 100, 1)
GOLD_LOGPROB = Measure("log-probability", "Mean log-probability a token of the gold answer, natural", "", 1, 2)


def comparison_table(
    conditions: Mapping[str, Groups],
    reference: str,
    *,
    title: str = "",
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    measure: Measure = ACCURACY,
    by_seed: Mapping[str, Sequence[Groups]] | None = None,
    shared: Collection[str] = (),
) -> Table:
    """A measure by condition, as a rule accuracy, and its difference to that of `reference`, with intervals.

    Each condition gives its values, for accuracy 0 or 1, by passage and question, the same ones in the same order.

    Args:
        by_seed: the values of those conditions where all passages share a model, once for each of several seeds; their
            intervals are for other seeds, too. `conditions` has the means over seeds.
        shared: conditions where all passages share one model: the note says that intervals are conditional on it.

    Raises:
        ValueError: `reference` is none of them, they differ in shape, or there is no question.
    """
    seeds = by_seed or {}

    def mean_of(name: str) -> Estimate:
        if name in seeds:
            return crossed_mean(seeds[name], level=level)
        return bootstrap_mean(conditions[name], seed=seed, resamples=resamples, level=level)

    def gain_of(name: str) -> Estimate:
        if name in seeds or reference in seeds:
            pair = (seeds.get(each, [conditions[each]]) for each in (name, reference))
            return crossed_difference(*pair, level=level)
        return paired_difference(conditions[name], conditions[reference], seed=seed, resamples=resamples, level=level)

    if reference not in conditions:
        raise ValueError(f"the reference {reference!r} is not among the conditions {list(conditions)}")
    rows = []
    factor, digits = measure.factor, measure.digits
    for name, graded in conditions.items():
        accuracy = mean_of(name)
        mean = f"{factor * accuracy.mean:.{digits}f}"
        row = (name, str(sum(map(len, graded))), mean, interval_text(accuracy, factor, digits))
        if name == reference:
            rows.append((*row, "-", "-", "reference"))
            continue
        gain = gain_of(name)
        difference = f"{factor * gain.mean:+.{digits}f}"
        rows.append((*row, difference, interval_text(gain, factor, digits, signed=True), gain.verdict))
    share = f"{100 * level:g}%"
    figures = (measure.column, f"{share} interval", "difference", f"its {share} interval")
    columns = ("condition", "questions", *figures, "verdict")
    note = _comparison_note(reference, conditions, share, measure) + _noise(seeds, shared)
    return Table(title, columns, tuple(rows), note)


def interval_text(estimate: Estimate, factor: float = 1, digits: int = 1, signed: bool = False) -> str:
    """The interval of an estimate times `factor`, as "1.0 to 2.0"; "-" where it has none."""
    if estimate.low is None or estimate.high is None:
        return "-"
    low, high = (f"{factor * bound:{'+' if signed else ''}.{digits}f}" for bound in (estimate.low, estimate.high))
    return f"{low} to {high}"


def _comparison_note(reference: str, conditions: Mapping[str, Groups], share: str, measure: Measure) -> str:
    passages = sum(len(group) > 0 for group in conditions[reference])
    note = (
        f"{measure.words}, differences to {reference}{measure.unit}, question by question. Intervals come from "
        f"resampling the {passages} passage(s)."
    )
    if passages < 2:
        note += " One passage does not tell how much passages differ, so there is no interval."
    if len(conditions) > 2:
        note += f" Each interval is one of {share} by itself: of many comparisons, some exclude zero by chance."
    return note


def _noise(by_seed: Mapping[str, Sequence[Groups]], shared: Collection[str]) -> str:
    """What an interval says of the models that all passages share."""
    note = ""
    if by_seed:
        counts = sorted({len(runs) for runs in by_seed.values()})
        note += f" Those of {', '.join(by_seed)} are for other training seeds, too, of which there are {counts[0]}."
    if shared:
        one = "the one model" if len(shared) == 1 else "the one model of each"
        note += (
            f" All passages share a model in {', '.join(shared)}: their intervals are conditional on {one}, and say "
            "nothing of what another training seed would have given."
        )
    return note


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _html_row(tag: str, cells: tuple[str, ...], right: list[bool]) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    aligned = ["", ' class="right"']
    shown = (f"<{tag}{scope}{aligned[r]}>{markup(cell)}</{tag}>" for cell, r in zip(cells, right, strict=True))
    return f"<tr>{''.join(shown)}</tr>"


def _csv_cell(cell: str) -> str:
    # Before Python 3.13 the csv module leaves a lone carriage return unquoted, and readers break the line there.
    cell = clean(cell).replace("\r\n", "\n").replace("\r", "\n")
    harmless = cell == "-" or _NUMBER.fullmatch(cell) or _INTERVAL.fullmatch(cell)
    return f"'{cell}" if cell.startswith(_FORMULA) and not harmless else cell
