"""Answers are graded against the right probe of the right task, under the right adapter."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from selfedit.domains.knowledge import KnowledgeDomain
from selfedit.generate.base import Scored
from selfedit.generate.batched import BatchedGenerator
from selfedit.graders.match import MatchGrader
from selfedit.models.prompt import Prompter
from selfedit.search.evaluator import Evaluator
from selfedit.types import Probe, Task
from tests.engine import BARE, VOCAB, load_tiny, random_adapter, under
from tests.tiny import make_tiny_tokenizer


def test_each_answer_belongs_to_its_probe_and_adapter(tmp_path: Path) -> None:
    model, tokenizer = load_tiny(tmp_path), make_tiny_tokenizer(vocab=VOCAB)
    generator = BatchedGenerator(model, tokenizer, frozenset())
    domain = KnowledgeDomain(Prompter(tokenizer, chat=True), 2)
    evaluator = Evaluator(generator, domain, MatchGrader(), max_new_tokens=6)
    tasks = [
        Task(f"t{i}", f"title {i}", "", tuple(Probe(f"t{i}.q{j}", f"what {i} {j}?", (f"gold {j}",)) for j in range(i)))
        for i in range(3)
    ]
    adapters = {name: random_adapter(model, name, rank=4, seed=seed) for seed, name in enumerate(("a", "b"))}
    models = under(adapters)
    pairs = [(tasks[2], models["a"]), (tasks[0], BARE), (tasks[1], models["b"]), (tasks[2], BARE)]
    together = evaluator.evaluate(pairs)
    for pair, evaluation in zip(pairs, together, strict=True):
        alone = evaluator.evaluate([pair])[0]
        assert [a.text for a in evaluation.answers] == [a.text for a in alone.answers]
        assert [a.probe_id for a in evaluation.answers] == [probe.id for probe in pair[0].probes]
        assert evaluation.gold_logprob == pytest.approx(alone.gold_logprob, abs=1e-4)
    first = tasks[2].probes[0]
    items = [Scored(domain.question(tasks[2], first), domain.answer("gold 0"), models["a"])]
    assert together[0].answers[0].gold_logprob == pytest.approx(generator.score(items)[0], abs=1e-4)
    assert all(math.isfinite(answer.gold_logprob) for evaluation in together for answer in evaluation.answers)


def test_containment_of_any_gold_answer_is_right() -> None:
    probe = Probe("q", "?", ("seven", "7"))
    assert MatchGrader().grade(probe, "There are 7.").correct
    assert not MatchGrader().grade(probe, "There are 17.").correct
    assert "seven" in MatchGrader().grade(probe, "none").reason
