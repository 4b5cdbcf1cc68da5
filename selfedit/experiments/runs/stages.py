"""The stages of a run, by which its records are kept: who wrote the edits, in which regime, and where in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

SourceKind = Literal["base", "in-context", "passage", "validation", "policy", "file"]

_NUMBERED = re.compile(r"(v|policy-r)(\d+)")
_REGIME = re.compile(
    r"(?:(?P<round>r)|(?P<many>many)|(?P<sequential>sequence))(?P<number>\d+)(?:-(?P<rest>.+))?", re.DOTALL
)
_PLACE = re.compile(r"(.+)-(\d+)", re.DOTALL)
_EDITS = "-edits"


@dataclass(frozen=True)
class Source:
    """What is asked: the model without update, in context, or after training on edits that somebody wrote.

    Attributes:
        number: for 'validation', the round after which the policy wrote them, 0 before the first; for 'policy', the
            round of a training run that `eval` takes its policy from.
        name: of a file of edits.
    """

    kind: SourceKind
    number: int = 0
    name: str = ""

    def __str__(self) -> str:
        if self.kind == "validation":
            return f"v{self.number}"
        if self.kind == "policy":
            return f"policy-r{self.number}"
        return f"from-{self.name}" if self.kind == "file" else self.kind

    @classmethod
    def parse(cls, text: str) -> Source | None:
        """The source with this text form; None if it is none."""
        if match := _NUMBERED.fullmatch(text):
            return cls("validation" if match[1] == "v" else "policy", int(match[2]))
        if text.startswith("from-"):
            return cls("file", name=text.removeprefix("from-"))
        if text in ("base", "in-context", "passage"):
            return cls(text)  # type: ignore[arg-type]
        return None


@dataclass(frozen=True)
class Stage:
    """A part of a run. Its one text form is what its records are kept under.

    Attributes:
        regime: 'round' of training; 'single', an adapter a passage; 'many' in one adapter; or 'sequential'.
        source: None for a round.
        number: the round; how many passages; which sequence.
        place: of a passage in its sequence.
    """

    regime: Literal["round", "single", "many", "sequential"]
    source: Source | None = None
    number: int = 0
    place: int | None = None

    def __str__(self) -> str:
        if self.regime == "round":
            return f"r{self.number}"
        if self.regime == "single":
            return str(self.source)
        name = "many" if self.regime == "many" else "sequence"
        place = "" if self.place is None else f"-{self.place}"
        return f"{name}{self.number}-{self.source}{place}"

    @property
    def edits(self) -> str:
        """What this stage's edits are kept under."""
        return f"{self}{_EDITS}" if self.regime == "many" else str(self)

    @classmethod
    def parse(cls, text: str) -> Stage | None:
        """The stage with this text form, its edits' included; None if it is none."""
        if source := Source.parse(text):
            return cls("single", source)
        match = _REGIME.fullmatch(text)
        if match is None:
            return None
        number, rest = int(match["number"]), match["rest"]
        if match["round"]:
            return cls("round", number=number) if rest is None else None
        if rest is None:
            return None
        if match["many"]:
            source = Source.parse(rest.removesuffix(_EDITS))
            return cls("many", source, number) if source else None
        if rest == "base":
            return cls("sequential", Source("base"), number)
        place = _PLACE.fullmatch(rest)
        source = Source.parse(place[1]) if place else None
        return cls("sequential", source, number, int(place[2])) if place and source else None


def round_stage(number: int) -> Stage:
    """The stage of a round of training."""
    return Stage("round", number=number)


def single(kind: SourceKind, number: int = 0, name: str = "") -> Stage:
    """The stage of a condition passage by passage."""
    return Stage("single", Source(kind, number, name))
