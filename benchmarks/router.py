"""Where do questions go? The routers on articles that nothing was fitted on, and on the demo's documents.

    python -m benchmarks.router --squad ../shared/data/squad

Questions about learnt passages should go to those; questions about the world (the odd lines of the general set), about
other articles, and about other passages of the same articles ('near') to the base. Beside them: learnt and general
ones after two turns about something else. Writes benchmarks/results/router-cpu.json and prints tables.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.router_draws import Articles, draw, in_parts, read_general, split_articles
from selfedit.documents import assign, read_documents, read_questions, split
from selfedit.routing import ROUTERS, Choice, Query, Route, Router, make_router

RESULTS = Path("benchmarks/results/router-cpu.json")
DEMO = Path("selfedit/data/demo")
SEED = 5
ASKED = 200  # Questions of each kind.
DRAWS = {8: 20, 100: 10, 1000: 4}
"""How many sets of routes of each size; the questions are spread over them."""

TOKENS = 64
KINDS = {
    "learnt": "about a learnt passage",
    "learnt, later": "the same, after two turns about another article",
    "general": "about the world",
    "general, later": "the same, after two turns about a learnt passage",
    "other": "about another article",
    "near": "about a passage of the same article that was not learnt",
}


@dataclass(frozen=True)
class Case:
    """A question of some kind, and the id of the route that it belongs to; empty for the base."""

    kind: str
    query: Query
    right: str


@dataclass(frozen=True)
class Row:
    """Where the questions of one kind went, as counts. `document` counts other passages of the right title."""

    kind: str
    n: int
    passage: int
    document: int
    wrong: int
    none: int


def sets(articles: Articles, filler: Articles, size: int) -> Iterator[tuple[list[Route], list[Case]]]:
    """Routes of held-out articles with the cases to ask, some ASKED of each kind over all sets."""
    random = np.random.default_rng(SEED)
    each = math.ceil(ASKED / DRAWS[size])
    general = read_general(even=False)
    for _ in range(DRAWS[size]):
        drawn = draw(articles, size, each, random, filler)
        kinds = drawn.questions
        learnt = [question for question, _ in kinds["right"]]
        other = [question for question, _ in kinds["other"]]
        world = [general[int(i)] for i in random.permutation(len(general))[:each]]
        cases = [Case("learnt", Query(question), right) for question, right in kinds["right"]]
        cases += [
            Case("learnt, later", Query(question, history=(other[i - 1], other[i])), right)
            for i, (question, right) in enumerate(kinds["right"][: len(other)])
        ]
        cases += [Case("general", Query(question), "") for question in world]
        cases += [
            Case("general, later", Query(question, history=(learnt[i - 1], learnt[i])), "")
            for i, question in enumerate(world[: len(learnt)])
        ]
        cases += [Case(kind, Query(question), "") for kind in ("other", "near") for question, _ in kinds[kind]]
        yield drawn.routes, cases


def demo() -> Iterator[tuple[list[Route], list[Case]]]:
    """The demo's documents in passages of 64 tokens, four thirds of the words, their questions, and general ones."""
    documents = read_documents([DEMO / name for name in ("lumen-harbor.md", "pigeonpost.md", "veskara.md")])
    count = _tokens
    passages = [passage for document in documents for passage in split(document, count, TOKENS).passages]
    passages = assign(read_questions(DEMO / "questions.jsonl"), passages)
    routes = [Route(f"p{number}", passage.title, passage.text) for number, passage in enumerate(passages)]
    cases = [
        Case("learnt", Query(probe.question), route.id)
        for route, passage in zip(routes, passages, strict=True)
        for probe in passage.probes
    ]
    yield routes, cases + [Case("general", Query(question), "") for question in read_general(even=False)]


def _tokens(text: str) -> int:
    return math.ceil(len(text.split()) * 4 / 3)


def went(case: Case, choice: Choice, titles: Mapping[str, str]) -> str:
    """Where a question went, as a field of `Row`."""
    if choice.id is None:
        return "none"
    if choice.id == case.right:
        return "passage"
    return "document" if case.right and titles[choice.id] == titles[case.right] else "wrong"


def measure(name: str, given: Sequence[tuple[list[Route], list[Case]]]) -> dict[str, Any]:
    """A router's rows over all sets, with seconds to index the largest set and milliseconds a query."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    index, asking, queries = [], 0.0, 0
    for routes, cases in given:
        started = time.perf_counter()
        router: Router = make_router(name, routes)
        index.append(time.perf_counter() - started)
        started = time.perf_counter()
        choices = router.choose([case.query for case in cases])
        asking, queries = asking + time.perf_counter() - started, queries + len(cases)
        titles = {route.id: route.title for route in routes}
        for case, choice in zip(cases, choices, strict=True):
            found[case.kind][went(case, choice, titles)] += 1
    rows = [
        Row(kind, counts.total(), *(counts[field] for field in ("passage", "document", "wrong", "none")))
        for kind, counts in found.items()
    ]
    return {
        "router": name,
        "index_seconds": round(float(np.median(index)), 4),
        "query_milliseconds": round(1000 * asking / queries, 3),
        "rows": [asdict(row) | {"right": _right(row), "right_interval": wilson(_right(row), row.n)} for row in rows],
    }


def _right(row: Row) -> int:
    return row.passage if row.kind.startswith("learnt") else row.none


def wilson(count: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    middle = (count + z * z / 2) / (n + z * z)
    reach = z / (n + z * z) * math.sqrt(count * (n - count) / n + z * z / 4)
    return round(max(0.0, middle - reach), 4), round(min(1.0, middle + reach), 4)


def table(results: Sequence[dict[str, Any]]) -> str:
    """The results as Markdown. `right` is the share that went where it belongs, with its interval."""
    lines = [
        "| routes | router | questions | n | right, % | right passage | same title | wrong | base |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for row in result["rows"]:
            low, high = row["right_interval"]
            right = f"**{100 * row['right'] / row['n']:.1f}** ({100 * low:.1f} to {100 * high:.1f})"
            counts = " | ".join(str(row[field]) for field in ("passage", "document", "wrong", "none"))
            lines.append(
                f"| {result['routes']} | {result['router']} | {KINDS[row['kind']]} | {row['n']} | {right} | {counts} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, default=Path("../shared/data/squad"))
    parser.add_argument("--routers", nargs="+", default=sorted(ROUTERS))
    parser.add_argument("--no-record", action="store_true", help="print only")
    given = parser.parse_args()
    fit, held = split_articles(given.squad)
    forms = {"passages": (held, fit), "parts": (in_parts(held, given.squad, TOKENS), {})}
    results: list[dict[str, Any]] = []
    for form, (articles, filler) in forms.items():
        for size in DRAWS:
            cases = list(sets(articles, filler, size))
            results += [{"routes": f"{size} {form}"} | measure(name, cases) for name in given.routers]
    cases = list(demo())
    results += [{"routes": f"{len(cases[0][0])}, the demo's"} | measure(name, cases) for name in given.routers]
    print(table(results))
    print("\n| routes | router | index, s | a query, ms |\n|---|---|---|---|")
    for one in results:
        print(f"| {one['routes']} | {one['router']} | {one['index_seconds']:.3f} | {one['query_milliseconds']:.2f} |")
    if not given.no_record:
        record = {"machine": machine(), "seed": SEED, "held_out_articles": sorted(held), "results": results}
        RESULTS.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
