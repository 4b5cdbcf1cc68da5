"""docs/paper.md says what the paper's configurations are, and they are it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from selfedit.experiments.config import TrainConfig, load_config
from selfedit.experiments.data import read_data
from selfedit.experiments.shipped import FOLDER

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
SHARED = ROOT.parent / "shared" / "data" / "squad"
COLUMNS = ["setting", "paper or official file (place)", "our key", "our value", "equal, or why not"]
PATHS = ("data.train", "data.validation", "data.validation_index", "policy.prompts")


def tables() -> dict[str, list[list[str]]]:
    """The rows under each heading that is a configuration's file name."""
    parts = re.split(r"^## `?([\w]+\.yaml)`?$", PAGE, flags=re.MULTILINE)
    found = {}
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        text = re.split(r"^## ", text, flags=re.MULTILINE)[0]
        rows = [
            [cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line[:1] == "|"
        ]
        if rows:
            assert rows[0] == COLUMNS, name
            found[name] = rows[2:]
    return found


TABLES = tables()


def value_of(config: TrainConfig, key: str) -> Any:
    """A setting by its dotted key; a domain's own are in a dictionary."""
    value: Any = config
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return list(value) if isinstance(value, tuple) else value


def test_every_configuration_of_the_paper_has_its_table() -> None:
    assert {path.name for path in FOLDER.glob("*_paper*.yaml")} <= set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_the_configuration_is_what_its_table_says(name: str) -> None:
    config = load_config(FOLDER / name)
    for row in TABLES[name]:
        assert len(row) == 5 and all(row), row
        setting, _, key, value, verdict = row
        if key == "-":
            continue
        stated, actual = yaml.safe_load(value.strip("`")), value_of(config, key.strip("`"))
        if key.strip("`") in PATHS:
            assert str(actual).endswith(str(stated)), (name, setting)
        else:
            assert actual == stated, (name, setting)
        assert re.match(r"equal|[a-z]", verdict), (name, setting)


@pytest.mark.parametrize("name", TABLES)
def test_every_setting_of_the_file_stands_in_its_table(name: str) -> None:
    """So that none is changed or added without a word on what the paper has."""
    raw = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    stated = {row[2].strip("`") for row in TABLES[name]}
    # How fast and how shown; that nothing is trained; and what names no choice of the paper's.
    free = {"published", "domain", "outer.rounds", "data.contexts", "data.validation", "data.validation_contexts"}
    given = {key for key in _keys(raw) if not key.startswith("engine.")}
    assert given - stated - free == set()


def _keys(group: dict[str, Any], prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for key, value in group.items():
        keys |= _keys(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}"}
    return keys


@pytest.mark.skipif(not SHARED.exists(), reason=f"there is no {SHARED}")
def test_the_public_file_and_a_shuffle_give_the_papers_200_passages(tmp_path: Path) -> None:
    """`random.seed(42); random.shuffle(rows)`, make_squad_data.py:117."""
    path = tmp_path / "config.yaml"
    path.write_text(f"data: {{validation: {SHARED / 'val.json'}, shuffle: 42}}")
    index = json.loads((SHARED / "val200.index.json").read_text(encoding="utf-8"))
    index = index["indices"] if isinstance(index, dict) else index
    chosen = read_data(load_config(path), training=False).validation
    assert [task.id for task in chosen] == [f"v{place}" for place in index]
