"""What routers are fitted on and measured with: routes made of SQuAD's passages, and questions of several kinds."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from selfedit.documents import Document, Question, Section, split
from selfedit.routing import Route

GENERAL = Path("selfedit/data/general/questions.jsonl")
SEED = 11
LEAST_ROUTES, MOST_ROUTES = 2, 1000

# Capitalised words inside a sentence.
_NAME = re.compile(r"(?<=[a-z,] )[A-Z]\w+(?: [A-Z]\w+)*")


@dataclass(frozen=True)
class Item:
    """A passage and the questions about it."""

    title: str
    text: str
    questions: tuple[str, ...]


Articles = Mapping[str, tuple[Item, ...]]


@dataclass
class Draw:
    """Routes, and questions by kind; for those that are about a route its id, for others an empty one."""

    routes: list[Route]
    questions: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))


def read_articles(path: Path) -> dict[str, tuple[Item, ...]]:
    """A file's passages by article, in the order of the file."""
    found: dict[str, list[Item]] = defaultdict(list)
    for row in json.loads(path.read_text(encoding="utf-8")):
        questions = tuple(dict.fromkeys(one["question"].strip() for one in row["questions"]))
        found[row["title"]].append(Item(row["title"], row["context"], questions))
    return {title: tuple(items) for title, items in found.items()}


def split_articles(squad: Path) -> tuple[dict[str, tuple[Item, ...]], dict[str, tuple[Item, ...]]]:
    """The articles to fit on, and those that are held out: half of the dev set's."""
    both = read_articles(squad / "val.json")
    titles = sorted(both)
    order = np.random.default_rng(SEED).permutation(len(titles))
    held = {titles[int(i)] for i in order[::2]}
    fit = read_articles(squad / "train.json") | {title: both[title] for title in titles if title not in held}
    return fit, {title: both[title] for title in titles if title in held}


def in_parts(articles: Articles, squad: Path, tokens: int) -> dict[str, tuple[Item, ...]]:
    """The same articles with each passage split to at most so many tokens, four thirds of its words, by `documents`.

    A question goes with the part that holds its answer.
    """
    answers: dict[tuple[str, str], str] = {}
    for name in ("train.json", "val.json"):
        for row in json.loads((squad / name).read_text(encoding="utf-8")):
            answers |= {(row["context"], one["question"].strip()): one["answer"] for one in row["questions"]}
    return {
        title: tuple(part for item in items for part in _parts(item, answers, tokens))
        for title, items in articles.items()
    }


def _parts(item: Item, answers: Mapping[tuple[str, str], str], tokens: int) -> Iterator[Item]:
    probes = tuple(Question(question, (answers[item.text, question],)) for question in item.questions)
    document = Document("", item.title, (Section("", item.text),), "", probes)
    for passage in split(document, lambda text: math.ceil(len(text.split()) * 4 / 3), tokens).passages:
        yield Item(item.title, passage.text, tuple(probe.question for probe in passage.probes))


def read_general(even: bool) -> list[str]:
    """Questions about the world: the lines with even numbers, from 0, are for fitting, the others for measuring."""
    lines = [line for line in GENERAL.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [json.loads(line)["question"] for line in lines[0 if even else 1 :: 2]]


def draw(
    articles: Articles, size: int, asked_of_each: int, random: np.random.Generator, filler: Articles | None = None
) -> Draw:
    """Routes and questions, none of them among what is known of the routes.

    Args:
        size: how many routes; fewer if there are not so many passages.
        asked_of_each: how many questions of each kind.
        filler: articles to take more passages from where `articles` have too few; not asked about.
    """
    titles = [sorted(articles)[int(i)] for i in random.permutation(len(articles))]
    among: list[Item] = []
    near: list[str] = []
    aside = max(1, len(titles) // 6)  # articles that 'other' questions come from
    for title in titles[aside:]:
        items = articles[title]
        taken = random.random(len(items)) < random.choice([0.5, 0.8, 1.0])
        kept = [item for item, take in zip(items, taken, strict=True) if take][: size - len(among)]
        among += kept
        if kept:
            near += [q for item in items if item not in kept for q in item.questions]
        if len(among) >= size:
            break
    more = [item for title in sorted(filler or {}) for item in (filler or {})[title]]
    informed = random.random() < 0.5
    drawn = Draw([])
    right: list[tuple[str, str]] = []
    for number, item in enumerate([*among, *more[: size - len(among)]]):
        mixed = [item.questions[int(i)] for i in random.permutation(len(item.questions))]
        told = tuple(mixed[: len(mixed) // 2]) if informed else ()
        drawn.routes.append(Route(f"r{number}", item.title, item.text, told))
        if number < len(among):
            right += [(question, f"r{number}") for question in mixed[len(mixed) // 2 :]]
    other = [(q, "") for title in titles[:aside] for item in articles[title] for q in item.questions]
    pools = {"right": right, "near": [(q, "") for q in near], "other": other}
    drawn.questions = {
        kind: [pool[int(i)] for i in random.permutation(len(pool))[:asked_of_each]] for kind, pool in pools.items()
    }
    return drawn


def renamed(questions: Sequence[str], names: Sequence[str], random: np.random.Generator) -> list[str]:
    """Those of the questions that have names, about other names: 'What is the capital of' another place."""
    return [
        _NAME.sub(lambda _: names[int(random.integers(len(names)))], question)
        for question in questions
        if names and _NAME.search(question)
    ]


def draws(articles: Sequence[Articles], general: Sequence[str], count: int, each: int) -> Iterator[Draw]:
    """Draws from each of several ways to split the same articles, in turn; their sizes even in the logarithm."""
    random = np.random.default_rng(SEED)
    for number in range(count):
        size = round(math.exp(random.uniform(math.log(LEAST_ROUTES), math.log(MOST_ROUTES))))
        one = draw(articles[number % len(articles)], size, each, random)
        one.questions["general"] = [(general[int(i)], "") for i in random.permutation(len(general))[:each]]
        names = [name for question, _ in one.questions["other"] for name in _NAME.findall(question)]
        right = [question for question, _ in one.questions["right"]]
        one.questions["renamed"] = [(question, "") for question in renamed(right, names, random)]
        yield one
