"""The signs of a text that gives orders to the model that reads it, with what each weighs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

PLAIN, MAYBE = 2, 1
"""Two points stop a document."""

_WHAT = {
    "calls_off": "it calls off what its reader was told",
    "role": "it tells its reader who to be",
    "spoken_to": "it speaks to a model",
    "answers": "it says what to answer",
    "hides": "it says what to hide, to give away or to believe",
    "marks": "it has the marks of a prompt",
}


@dataclass(frozen=True)
class Sign:
    """One sign, of which kind it is, and what it weighs."""

    pattern: re.Pattern[str]
    kind: str
    weight: int

    @property
    def what(self) -> str:
        """The kind in words."""
        return _WHAT[self.kind]


@cache
def signs() -> tuple[Sign, ...]:
    """All of them, from `data/guard/instructions.yaml`."""
    raw = yaml.safe_load((files("selfedit.data") / "guard" / "instructions.yaml").read_text(encoding="utf-8"))
    parts: dict[str, str] = raw["parts"]
    named = re.compile(r"\{([A-Z_]+)\}")

    def filled(pattern: str) -> str:
        while named.search(pattern):
            pattern = named.sub(lambda match: parts[match[1]], pattern)
        return pattern

    return tuple(
        Sign(re.compile(filled(pattern), re.IGNORECASE | re.MULTILINE), kind, weight)
        for kind in _WHAT
        for name, weight in (("plain", PLAIN), ("maybe", MAYBE))
        for pattern in raw[kind][name]
    )
