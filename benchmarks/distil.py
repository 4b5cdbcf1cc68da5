"""Distillation of a model that has the passage in context into one that has not (Prompt Distillation, 2412.14964)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from selfedit.multilora.merge import merged
from selfedit.multilora.model import MultiLoraModel
from selfedit.policies.formats import parse_pairs
from selfedit.types import Example, Learnt, Teacher

if TYPE_CHECKING:
    from benchmarks.options import Bench

LIKELIEST, TEMPERATURE = 16, 2.0
"""How many tokens of the teacher's distribution are kept, and how far it is softened."""


def distilled(bench: Bench, item: Learnt, pairs: list[Example]) -> list[Example]:
    """The pairs, each with what the policy would answer to its question with the passage at hand.

    The student's own temperature stays 1, since it is asked at that: we deviate from the paper, which softens both.
    """
    domain = bench.session.domain
    asked = {
        domain.ask(lesson.question, item.task.title): domain.ask(lesson.question, item.task.title, item.task.passage)
        for edit in item.edits
        for lesson in parse_pairs(edit.text)
    }
    taught = []
    model = bench.session.base.model
    with merged(model, bench.writer.merged), torch.no_grad():
        multi = MultiLoraModel(model, 1, 1, [])
        try:
            for pair in pairs:
                start = next(n for n, weight in enumerate(pair.weights) if weight)
                reading = asked[pair.tokens[:start]]
                answer = pair.tokens[start:]
                tokens = (*reading, *answer)[:-1]
                hidden_TH = multi.hidden_states(tokens, multi.batch([len(tokens)], [None]))
                logits_AV = multi.logits(hidden_TH[len(reading) - 1 :]) / TEMPERATURE
                top = logits_AV.softmax(-1).topk(LIKELIEST)
                shares = top.values / top.values.sum(-1, keepdim=True)
                ids = ((),) * start + tuple(tuple(row) for row in top.indices.tolist())
                probabilities = ((),) * start + tuple(tuple(row) for row in shares.tolist())
                taught.append(replace(pair, teacher=Teacher(ids, probabilities)))
        finally:
            multi.unwrap()
    return taught
