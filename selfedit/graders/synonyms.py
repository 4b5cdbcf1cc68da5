"""Which words mean nearly the same: a short list of everyday English, and countries with their people."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from pathlib import Path

from selfedit.graders.words import stem

_FILE = Path(__file__).parent.parent / "data" / "graders" / "synonyms.txt"


def related(a: str, b: str) -> bool:
    """Whether two stems stand in one line of the list."""
    return b in _neighbours().get(a, ())


@cache
def _neighbours() -> dict[str, set[str]]:
    synonyms: dict[str, set[str]] = defaultdict(set)
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        stems = {stem(word) for word in line.split()}
        for word in stems:
            synonyms[word] |= stems - {word}
    return dict(synonyms)
