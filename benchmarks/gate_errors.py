"""How often the tests of `selfedit.gates.paired` err, and what they miss: a simulation with the real code.

    OMP_NUM_THREADS=1 python -m benchmarks.gate_errors

Questions are drawn afresh in every repetition. *Churn* is the share of answers that flip by chance, half each way; a
true loss or gain comes on top. A candidate is let through if `NonInferiority.acceptable`, better if
`Superiority.better`. Differences of the gold answers' log-probabilities have mean 0 and SD 0.5 where nothing changed:
*apart* from the answers, *with* them (1 more where an answer is gained, 1 less where one is lost) or *skewed* (an
exponential distribution turned over: many small gains and few large losses, the hard case for a t-test).

Prints tables, writes benchmarks/results/gate_errors.json. Some 3 minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import machine
from selfedit.gates.paired import Change, NonInferiority, non_inferior, superior

RESULTS = Path("benchmarks/results/gate_errors.json")
SIZES = (10, 30, 120, 160)
CHURNS = (0.0, 0.02, 0.05, 0.1, 0.2)
MARGINS = (0.03, 0.05, 0.1)
SPREAD = 0.5
"""SD of the differences of log-probabilities, nats."""
Row = dict[str, Any]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

decide: Callable[[Change, float], NonInferiority] = cache(non_inferior)
"""The real test, each outcome once."""


def changes(random: np.random.Generator, repetitions: int, n: int, lost: float, gained: float) -> Iterator[Change]:
    """Counts of `n` questions, each of which is lost or gained with that probability."""
    for one in random.multinomial(n, [lost, gained, 1 - lost - gained], size=repetitions).tolist():
        yield Change(one[0], one[1], n)


def non_inferiority(repetitions: int, n: int, churn: float, loss: float, margins: Sequence[float]) -> Row:
    """Shares of verdicts, and of candidates held back, by margin in points, for a true loss (a share)."""
    random = np.random.default_rng([n, round(1000 * churn), round(1000 * loss)])
    found = list(changes(random, repetitions, n, loss + churn / 2, churn / 2))
    row: Row = {"n": n, "churn": churn, "loss": loss, "margins": {}}
    for margin in margins:
        results = [decide(change, margin) for change in found]
        row["margins"][f"{100 * margin:g}"] = {
            "undecided": share(one.verdict == "undecided" for one in results),
            "held_back": share(not one.acceptable for one in results),
        }
        row["worse"] = share(one.verdict == "worse" for one in results)
    row["excludable"] = decide(Change(0, 0, n), 0.0).excludable
    return row


def share(values: Iterator[bool]) -> float:
    found = list(values)
    return sum(found) / len(found)


def better(repetitions: int, n: int, churn: float, gain: float, kind: str, effect: float = 0.0) -> float:
    """The share called better by `superior`.

    `gain` is a share of the questions; `effect` the mean difference of log-probabilities, in SDs.
    """
    random = np.random.default_rng([n, round(1000 * churn), round(1000 * gain), round(100 * effect), len(kind)])
    shape = (repetitions, n)
    draws_RN = random.random(shape)
    lost_RN, gained_RN = draws_RN < churn / 2, draws_RN > 1 - gain - churn / 2
    before_RN = np.where(lost_RN | gained_RN, lost_RN, random.random(shape) < 0.5)
    after_RN = before_RN & ~lost_RN | gained_RN
    noise_RN = 1 - random.exponential(1, shape) if kind == "skewed" else random.normal(0, 1, shape)
    gains_RN = SPREAD * (noise_RN + effect)
    if kind == "with":
        gains_RN = gains_RN + gained_RN - lost_RN
    odds_RN = random.normal(-5, 2, shape)
    rows = zip(before_RN.tolist(), after_RN.tolist(), odds_RN.tolist(), (odds_RN + gains_RN).tolist(), strict=True)
    return share(superior(*row).better for row in rows)


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    print("\n| " + " | ".join(heads) + " |\n|" + "---:|" * len(heads))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


def unchanged(repetitions: int) -> list[Row]:
    """What candidates without any change are called."""
    rows = []
    for n in SIZES:
        for churn in CHURNS:
            row = non_inferiority(repetitions, n, churn, 0.0, MARGINS)
            row["better"] = {kind: better(repetitions, n, churn, 0.0, kind) for kind in ("apart", "with", "skewed")}
            rows.append(row)
    print(
        "\nNo change: percent called better (by kind of log-probabilities), worse, undecided and held back (by margin)"
    )
    kinds = [f"better, {kind}" for kind in ("apart", "with", "skewed")]
    points = [f"{100 * margin:g}" for margin in MARGINS]
    heads = ["n", "churn", *kinds, "worse", *(f"und. {p}" for p in points), *(f"held {p}" for p in points)]
    table(
        heads,
        [
            [
                row["n"],
                f"{100 * row['churn']:g}%",
                *map(percent, row["better"].values()),
                percent(row["worse"]),
                *(percent(one["undecided"]) for one in row["margins"].values()),
                *(percent(one["held_back"]) for one in row["margins"].values()),
            ]
            for row in rows
        ],
    )
    return rows


def losses(repetitions: int) -> list[Row]:
    """How often a true loss on 120 questions is caught."""
    rows = [non_inferiority(repetitions, 120, churn, loss, MARGINS) for loss in (0.05, 0.1) for churn in CHURNS]
    print("\nA true loss on 120 questions: percent caught (not let through), by margin; and called worse")
    heads = ["loss", "churn", *(f"caught {100 * margin:g}" for margin in MARGINS), "worse"]
    cells = [
        [
            f"{100 * row['loss']:g}",
            f"{100 * row['churn']:g}%",
            *(percent(one["held_back"]) for one in row["margins"].values()),
            percent(row["worse"]),
        ]
        for row in rows
    ]
    table(heads, cells)
    return rows


def margins(repetitions: int) -> list[Row]:
    """A general set of 160 questions: what margins let through and hold back."""
    tried = (0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1)
    rows = [
        non_inferiority(repetitions, 160, churn, loss, tried)
        for loss in (0.0, 0.03, 0.05, 0.08, 0.1)
        for churn in CHURNS
    ]
    print("\n160 questions: percent held back, by margin; where the loss is 0, wrongly")
    heads = ["loss", "churn", *(f"{100 * margin:g}" for margin in tried)]
    cells = [
        [
            f"{100 * row['loss']:g}",
            f"{100 * row['churn']:g}%",
            *(percent(one["held_back"]) for one in row["margins"].values()),
        ]
        for row in rows
    ]
    table(heads, cells)
    return rows


def power(repetitions: int) -> list[Row]:
    """How often a true gain is called better, with 5% churn."""
    effects = (0.0, 0.5, 1.0, 2.0)
    rows: list[Row] = [
        {
            "n": n,
            "gain": gain,
            "better": {f"{e:g}": better(repetitions, n, 0.05, gain, "apart", e) for e in effects},
        }
        for n in (5, 10, 30)
        for gain in (0.1, 0.2, 0.4, 0.6, 0.8)
    ]
    print("\nA true gain: percent called better, by how much likelier gold answers became (mean in SDs); 5% churn")
    heads = ["n", "gain, points", *(f"{effect:g} SD" for effect in effects)]
    table(heads, [[row["n"], f"{100 * row['gain']:g}", *map(percent, row["better"].values())] for row in rows])
    return rows


def requirements(none: Sequence[Row], lost: Sequence[Row]) -> Row:
    """The worst cases of what has to hold; for the loss, over churns, by margin."""
    ten = [row["margins"] for row in lost if row["loss"] == 0.1]
    return {
        "no_change_called_better": {
            kind: max(row["better"][kind] for row in none) for kind in ("apart", "with", "skewed")
        },
        "no_change_called_worse": max(row["worse"] for row in none),
        "loss_of_10_points_on_120_caught": {m: min(one[m]["held_back"] for one in ten) for m in ten[0]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    repetitions: int = given.repetitions
    none, lost = unchanged(repetitions), losses(repetitions)
    facts = {
        "machine": machine(),
        "repetitions": repetitions,
        "standard_error_of_5_percent": math.sqrt(0.05 * 0.95 / repetitions),
        "requirements": requirements(none, lost),
        "unchanged": none,
        "losses_of_120": lost,
        "margins_of_160": margins(repetitions),
        "power": power(repetitions),
    }
    print("\n" + json.dumps(facts["requirements"]))
    given.out.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
