"""Documents that say over again what is known, or what another new one says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from selfedit.guard.base import Guard, Known, Text
from selfedit.text.matching import normalise
from selfedit.text.reading import shown
from selfedit.types import Flag

_LENGTH = 3
"""Words of a run."""
_SAME = 0.7
"""The share of a document's runs that another one has, from which on it is the same."""
_FEWEST = 8
"""Runs below which a text is too short to compare."""


class DuplicatesGuard(Guard):
    """Stops near-duplicates, by shared runs of three words. Of several new ones the first passes.

    What takes the place of a document that is known is not held against it.
    """

    name = "duplicates"

    def screen(self, texts: Sequence[Text], known: Known) -> list[Flag]:
        by_document: dict[str, list[str]] = {}
        titles: dict[str, tuple[str, str]] = {}
        for item in known.learnt:
            by_document.setdefault(item.document.sha256, []).append(item.task.passage)
            titles[item.document.sha256] = (item.document.path, item.document.title)
        index: dict[str, set[str]] = {}
        for name, passages in by_document.items():
            _add(index, name, _runs(passages))
        flags = []
        for text in texts:
            runs = _runs(text.passages)
            mine = {name for name, title in titles.items() if title == (text.path, text.title)}
            other, share = _likest(index, runs, mine)
            if len(runs) >= _FEWEST and share >= _SAME:
                path, title = titles[other]
                why = f"{share:.0%} of it stands in '{shown(title)}' ({shown(path)})"
                flags.append(self.flag(text, text.passages[0], why))
                continue
            _add(index, text.id, runs)
            titles[text.id] = (text.path, text.title)
        return flags


def _runs(passages: Iterable[str]) -> set[str]:
    runs: set[str] = set()
    for passage in passages:
        words = normalise(passage).split()
        runs |= {" ".join(words[at : at + _LENGTH]) for at in range(len(words) - _LENGTH + 1)}
    return runs


def _add(index: dict[str, set[str]], name: str, runs: Iterable[str]) -> None:
    for run in runs:
        index.setdefault(run, set()).add(name)


def _likest(index: dict[str, set[str]], runs: set[str], besides: set[str]) -> tuple[str, float]:
    """The text that shares most of the runs, and which share of them."""
    counts: dict[str, int] = {}
    for run in runs:
        for name in index.get(run, ()):
            if name not in besides:
                counts[name] = counts.get(name, 0) + 1
    best = max(counts, key=lambda name: counts[name], default="")
    return best, counts.get(best, 0) / max(1, len(runs))
