"""docs/configuration.md names every setting with its default."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from selfedit.domains.fewshot import FewshotDomain
from selfedit.domains.knowledge import KnowledgeDomain
from selfedit.experiments.config import TrainConfig
from selfedit.experiments.groups import (
    DataSettings,
    EngineSettings,
    EvaluationSettings,
    OuterSettings,
    PolicySettings,
)
from selfedit.experiments.kinds import kind_of
from selfedit.settings import TrainingSettings

PAGE = (Path(__file__).parent.parent.parent / "docs" / "configuration.md").read_text(encoding="utf-8")
GROUPS: dict[str, type[BaseModel]] = {
    "data": DataSettings,
    "policy": PolicySettings,
    "inner": TrainingSettings,
    "outer": OuterSettings,
    "evaluation": EvaluationSettings,
    "engine": EngineSettings,
}


def section(name: str) -> dict[str, str]:
    """Keys and defaults in the tables of a section; the text before the first heading is ''."""
    parts = re.split(r"^## `?(\w*)`?.*$", PAGE, flags=re.MULTILINE)
    text = dict(zip(["", *parts[1::2]], parts[0::2], strict=True))[name]
    return dict(re.findall(r"^\| `(\w+)` \| *(.*?) *\|", text, flags=re.MULTILINE))


def shown(value: Any) -> str:
    """A default as the page writes it."""
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_every_setting_is_there_with_its_default() -> None:
    assert set(section("")) | set(GROUPS) == set(TrainConfig.model_fields)
    for name, model in GROUPS.items():
        rows = section(name)
        assert set(rows) == set(model.model_fields), name
        for key, field in model.model_fields.items():
            default = field.default
            if isinstance(default, BaseModel):
                continue
            written = rows[key].partition(" (")[0]
            if field.is_required():
                assert written == "-"
            elif isinstance(default, float):
                assert float(written) == default, f"{name}.{key}"
            elif written != "the domain's":
                assert written == shown(default), f"{name}.{key}"


def test_the_defaults_of_the_other_trainings_are_in_brackets() -> None:
    others = (OuterSettings().training, EvaluationSettings().many_training)
    for key, written in section("inner").items():
        own, _, rest = written.partition(" (")
        values = yaml.safe_load(f"[{rest.rstrip(')')}]") or [yaml.safe_load(own)] * 2
        assert values == [getattr(other, key) for other in others], key


def test_the_settings_of_domains_are_there() -> None:
    rows = section("domain_settings")
    expected: dict[str, str] = {}
    for name, domain in (("knowledge", KnowledgeDomain), ("fewshot", FewshotDomain)):
        parameters = list(inspect.signature(domain).parameters.values())[2:]
        expected |= {p.name: shown({p.name: p.default, **kind_of(name).domain_settings}[p.name]) for p in parameters}
    assert rows == expected
