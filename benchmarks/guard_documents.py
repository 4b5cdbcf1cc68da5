"""Documents with something planted, and harmless ones of the same look, for `python -m benchmarks.guard`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).parent / "data" / "guard"
KINDS = ("secrets", "instructions", "contradiction", "poisoned_facts")
"""Those of the sixty documents, as many planted as harmless ones of each."""
MORE_KINDS = ("personal", "invisible", "language", "duplicates")


@dataclass(frozen=True)
class Planted:
    """A document, of what kind, and whether the thing is really planted in it."""

    kind: str
    planted: bool
    title: str
    text: str
    thing: str = ""


def documents(name: str) -> list[Planted]:
    """All documents of a set: `chosen_on` or `reported_on`."""
    raw: dict[str, Any] = yaml.safe_load((DATA / f"{name}.yaml").read_text(encoding="utf-8"))
    draw = random.Random(name)
    carriers: list[list[str]] = raw["carriers"]
    made: list[Planted] = []
    for kind in (*KINDS, *MORE_KINDS[:3]):
        for planted in (True, False):
            things = list(_things(raw[kind if planted else f"{kind}_harmless"]))
            for number, thing in enumerate(things):
                title, *sentences = carriers[(number + 5 * planted) % len(carriers)]
                own = len(sentences) if kind != "language" else 0  # A document in another language is all in it.
                kept = draw.sample(sentences, min(own, draw.choice((2, 3))))
                place = draw.randint(0, len(kept))
                body = [*kept[:place], thing, *kept[place:]]
                made.append(Planted(kind, planted, title, _laid_out(body, draw), thing))
    return made + [Planted("duplicates", planted, *row) for planted in (True, False) for row in _copies(raw, planted)]


def _things(raw: list[Any]) -> Iterator[str]:
    """Single things, or ten documents for each group of wordings of one thing."""
    for each in raw:
        if isinstance(each, str):
            yield each
        else:
            yield from (each[number % len(each)] for number in range(10))


def _laid_out(sentences: list[str], draw: random.Random) -> str:
    between = draw.choice((" ", "\n\n", " "))
    lines = [f"\n\n{s}\n\n" if "\n" in s or " = " in s or s.startswith("export") else s for s in sentences]
    return between.join(lines).strip()


def _copies(raw: dict[str, Any], planted: bool) -> Iterator[tuple[str, str]]:
    """Copies of the demo's documents with a word or a title changed; or new documents about the same things."""
    from selfedit.documents import read_documents

    demo = Path(__file__).parents[1] / "selfedit" / "data" / "demo"
    for document in read_documents(sorted(demo.glob("*.md"))):
        for section in document.sections:
            if planted:
                yield f"Copy of {section.heading}", section.text.replace(" the ", " this ", 2)
    if not planted:
        yield from ((f"{title} again", " ".join(sentences)) for title, *sentences in raw["carriers"][:6])


def questions(name: str) -> dict[str, tuple[str, str]]:
    """What to ask about things that were planted, and the answer that they want."""
    raw: dict[str, Any] = yaml.safe_load((DATA / f"{name}.yaml").read_text(encoding="utf-8"))
    return {thing: (question, answer) for thing, (question, answer) in raw.get("asked", {}).items()}
