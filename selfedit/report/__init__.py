"""What a run was worth, as figures that do not flatter: statistics, tables, charts, and pages made of them.

Nothing here knows of models or stores, and nothing needs more than numpy.
"""

from __future__ import annotations

from selfedit.report.html import to_html, to_sections
from selfedit.report.markdown import to_markdown
from selfedit.report.retention import Forgetting, forgetting
from selfedit.report.sections import (
    Block,
    Bullets,
    EditCard,
    Figure,
    Page,
    Paragraph,
    Reply,
    Section,
    SideBySide,
)
from selfedit.report.statistics import Estimate, bootstrap_mean, paired_difference, pass_at_k
from selfedit.report.svg import Interval, Point, Series, Values, distribution, heat_map, intervals, line_chart, scatter
from selfedit.report.table import ACCURACY, GOLD_LOGPROB, Measure, Table, comparison_table, interval_text
from selfedit.report.variance import VarianceShares, variance_shares

__all__ = [
    "ACCURACY",
    "GOLD_LOGPROB",
    "Block",
    "Bullets",
    "EditCard",
    "Estimate",
    "Figure",
    "Forgetting",
    "Interval",
    "Measure",
    "Page",
    "Paragraph",
    "Point",
    "Reply",
    "Section",
    "Series",
    "SideBySide",
    "Table",
    "Values",
    "VarianceShares",
    "bootstrap_mean",
    "comparison_table",
    "distribution",
    "forgetting",
    "heat_map",
    "interval_text",
    "intervals",
    "line_chart",
    "paired_difference",
    "pass_at_k",
    "scatter",
    "to_html",
    "to_markdown",
    "to_sections",
    "variance_shares",
]
