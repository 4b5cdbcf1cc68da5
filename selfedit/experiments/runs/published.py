"""Published figures beside ours: facts in selfedit/data/published.yaml, by the name that a configuration gives."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from statistics import fmean
from typing import Any

import yaml

from selfedit.errors import UserError, nearest
from selfedit.experiments.config import load_config
from selfedit.experiments.runs.folder import FREE, differences
from selfedit.experiments.shipped import FOLDER
from selfedit.release_0_1 import upgraded_config
from selfedit.report import Section, Table

Conditions = Mapping[str, list[list[float]]]
"""A value of each answer by condition, passage and question."""

_NOTE = (
    "Published: {}. Ours: the mean of each passage's mean, and the mean over all questions, where passages with many "
    "count for more. Figures of different graders or models are no comparison."
)


def published_tables() -> dict[str, dict[str, Any]]:
    """The tables by name."""
    text = (files("selfedit") / "data" / "published.yaml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return tables


def check_published(name: str) -> None:
    """Raise UserError if there is no table of that name."""
    if name and name not in (known := published_tables()):
        raise UserError(f"Unknown table of published figures '{name}' (published). {nearest(name, known)}")


def published_section(name: str, config: Mapping[str, Any], ours: Mapping[str, Conditions]) -> Section:
    """The table of that name beside our conditions.

    Args:
        config: of the run; which settings are not those of the configuration of that name is said.
        ours: by a word on what they are; none where the run has none passage by passage.
    """
    table = published_tables()[name]
    note = _NOTE.format(table["about"])
    if differing := _differing(name, config):
        note += f" This run is not theirs: it has other settings in {', '.join(differing)}."
    blocks = [_table(what, table, config, answered, note) for what, answered in (ours or {"": {}}).items()]
    return Section("Beside the published figures", tuple(blocks))


def _differing(name: str, config: Mapping[str, Any]) -> list[str]:
    """The settings that are not those of the configuration that the figures belong to."""
    theirs = load_config(FOLDER / f"{name}.yaml").model_dump(mode="json")
    by = published_tables()[name].get("by")
    return [key for key in differences(theirs, upgraded_config(config)) if key not in (*FREE, by, "seed")]


def _table(what: str, table: Mapping[str, Any], config: Mapping[str, Any], answered: Conditions, note: str) -> Table:
    figures = table["figures"]
    if group := table.get("by"):
        first, _, second = group.partition(".")
        figures = figures.get(str(config[first][second]), {})
    rows = []
    for condition in dict.fromkeys((*figures, *answered)):
        theirs = figures.get(condition, ["-"] * len(table["columns"]))
        rows.append((condition, *map(str, theirs), *(_means(answered.get(condition)) if answered else ())))
    columns = ["condition", *(f"published: {column}" for column in table["columns"])]
    columns += ["ours: mean of passages", "ours: mean of questions"] if answered else []
    return Table(f"Accuracy, %{what and f', {what}'}", tuple(columns), tuple(rows), note)


def _means(passages: list[list[float]] | None) -> tuple[str, str]:
    """The mean of passage means and the mean over questions, in per cent."""
    asked = [answers for answers in passages or () if answers]
    if not asked:
        return "-", "-"
    of_passages = fmean(map(fmean, asked))
    return f"{100 * of_passages:.1f}", f"{100 * fmean(value for answers in asked for value in answers):.1f}"
