"""The grader that learnt from GPT-4.1's verdicts: shallow trees and a logistic regression over `features`."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from selfedit.graders.base import Grader
from selfedit.types import Probe, Verdict

if TYPE_CHECKING:
    from selfedit.graders.fitted import Model

WEIGHTS = Path(__file__).parent.parent / "data" / "graders" / "learned.json"
"""Where `benchmarks/fit_grader.py` puts what it fitted."""


class LearnedGrader(Grader):
    """Reads its weights from the package; loads and grades in milliseconds, without a language model."""

    name = "learned"

    def grade(self, probe: Probe, answer: str) -> Verdict:
        """Of several gold answers the likeliest counts."""
        if not answer.strip():
            return Verdict(False, "there is no answer")
        if answer.strip().casefold() in (gold.strip().casefold() for gold in probe.answers):
            # Some answers are made of words that the features leave out, such as "no".
            return Verdict(True, "the same")
        model = load()
        rows = [model.row(probe.question, gold, answer) for gold in probe.answers]
        odds = [float(model.log_odds(row[None])[0]) for row in rows]
        best = max(range(len(odds)), key=odds.__getitem__)
        reason = f"right with probability {1 / (1 + math.exp(-odds[best])):.2f} against '{probe.answers[best]}'"
        told = ", ".join(model.telling(rows[best]))
        return Verdict(odds[best] > 0, f"{reason}: {told}" if told else reason)


@cache
def load() -> Model:
    """The model in the package."""
    from selfedit.graders.fitted import Model  # numpy takes a tenth of a second that no other command need wait for

    return Model(json.loads(WEIGHTS.read_text(encoding="utf-8")))
