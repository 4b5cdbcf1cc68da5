"""Small text tasks about a made-up language, for reinforcement learning on a CPU: easy to learn, unknown to any model.

    python -m benchmarks.made_up_words docs/examples/words

writes the tasks again, a JSONL file each, as they are in the repository. No rule is in two of training, validation and
test.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path

VOWELS, CONSONANTS = "aeiou", "bdfgklmnprstvz"
DEMONSTRATIONS, ASKED = 6, 3
Rule = Callable[[str], str]


def suffix(ending: str) -> Rule:
    return lambda word: word + ending


def prefix(beginning: str) -> Rule:
    return lambda word: beginning + word


def circumfix(beginning: str, ending: str) -> Rule:
    return lambda word: beginning + word + ending


def last_vowel(vowel: str) -> Rule:
    return lambda word: word[:-1] + vowel


def infix(middle: str) -> Rule:
    return lambda word: word[0] + middle + word[1:]


def doubled_beginning(word: str) -> str:
    return word[:2] + word


def doubled_end(word: str) -> str:
    return word + word[-2:]


def doubled_word(word: str) -> str:
    return word + word


RULES: dict[str, dict[str, Rule]] = {
    "train": {
        "suffix-ka": suffix("ka"),
        "prefix-zu": prefix("zu"),
        "circumfix-ta-n": circumfix("ta", "n"),
        "last-vowel-o": last_vowel("o"),
        "infix-um": infix("um"),
        "doubled-beginning": doubled_beginning,
    },
    "validation": {
        "suffix-ru": suffix("ru"),
        "suffix-mis": suffix("mis"),
        "suffix-dal": suffix("dal"),
        "prefix-pe": prefix("pe"),
        "prefix-gor": prefix("gor"),
        "circumfix-ni-l": circumfix("ni", "l"),
        "circumfix-so-k": circumfix("so", "k"),
        "last-vowel-e": last_vowel("e"),
        "infix-il": infix("il"),
        "doubled-end": doubled_end,
    },
    "test": {
        "suffix-lo": suffix("lo"),
        "suffix-bek": suffix("bek"),
        "suffix-tun": suffix("tun"),
        "prefix-da": prefix("da"),
        "prefix-fin": prefix("fin"),
        "circumfix-mu-s": circumfix("mu", "s"),
        "circumfix-re-t": circumfix("re", "t"),
        "last-vowel-u": last_vowel("u"),
        "infix-or": infix("or"),
        "doubled-word": doubled_word,
    },
}


def words(rng: random.Random, count: int) -> list[str]:
    """Different words of two or three open syllables."""
    found: dict[str, None] = {}
    while len(found) < count:
        syllables = rng.choice((2, 2, 3))
        found["".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(syllables))] = None
    return list(found)


def write_words(folder: Path) -> None:
    """Write all tasks to a folder, the same ones every time."""
    rng = random.Random(0)
    for split, rules in RULES.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for name, rule in rules.items():
            rows = [
                {"input": word, ("output" if place < DEMONSTRATIONS else "answer"): rule(word)}
                for place, word in enumerate(words(rng, DEMONSTRATIONS + ASKED))
            ]
            path = folder / split / f"{name}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    write_words(parser.parse_args().folder)


if __name__ == "__main__":
    main()
