"""Fifty pairs that `learn` trained on, drawn at random, for a person to read: which of them say something false?

    python -m benchmarks.statements --stores /tmp/selfedit-learning/held_out-0 /tmp/selfedit-learning/unseen-0-30m

Stores are those that `benchmarks.learning` leaves. Each pair is printed with the passage that it was written about.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from selfedit.policies.formats import parse_pairs
from selfedit.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=Path, nargs="+", required=True)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=14)
    options = parser.parse_args()
    rows = [
        (store.name, item.task, pair)
        for store in options.stores
        for item in Store.open(store).get().knowledge.learnt
        for edit in item.edits
        for pair in parse_pairs(edit.text)
    ]
    print(f"{options.count} of {len(rows)} pairs")
    for number, (name, task, pair) in enumerate(random.Random(options.seed).sample(rows, options.count), 1):
        print(f"\n{number}. {name}: {task.title}\n   {' '.join(task.passage.split())}\n   {pair}")


if __name__ == "__main__":
    main()
