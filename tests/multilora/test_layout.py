"""What sequences begin with alike is computed once, and everything is as if each had been computed by itself."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from selfedit.generate.base import Request, Scored
from selfedit.generate.batched import BatchedGenerator
from selfedit.inner.backward import Piece, accumulate_gradients
from selfedit.multilora.layout import lay_out
from selfedit.multilora.model import MultiLoraModel
from selfedit.types import Example
from tests.engine import VOCAB, load_tiny, random_adapter, under
from tests.tiny import FAMILIES, make_tiny_tokenizer

SEQUENCES = st.lists(
    st.tuples(st.sampled_from([None, 0, 1]), st.lists(st.integers(0, 1), min_size=1, max_size=30)), min_size=1
)


@given(SEQUENCES, st.booleans())
def test_every_sequence_is_there_behind_what_it_begins_with(
    drawn: list[tuple[int | None, list[int]]], share: bool
) -> None:
    slots, sequences = [slot for slot, _ in drawn], [tokens for _, tokens in drawn]
    layout = lay_out(sequences, slots, share)
    for i, tokens in enumerate(sequences):
        assert [layout.tokens[row] for row in layout.rows(i)] == tokens
        assert layout.slots[layout.ends[i]] == slots[i]
    for piece, (parent, members) in enumerate(zip(layout.parents, layout.members(), strict=True)):
        assert layout.lengths[piece] > 0 and members
        if parent is not None:
            assert parent < piece and layout.parents[parent] is None and layout.slots[parent] == layout.slots[piece]
    assert len(layout.tokens) <= sum(map(len, sequences))
    if not share:
        assert layout.parents == (None,) * len(sequences)


def test_questions_about_two_passages_share_their_own() -> None:
    system, passages = list(range(10)), [list(range(100, 140)), list(range(200, 230))]
    questions = [[*system, *passages[n % 2], 1000 + n, 7] for n in range(6)]
    layout = lay_out(questions, [None] * 6)
    assert len(layout.tokens) == (10 + 40) + (10 + 30) + 6 * 2
    assert layout.lengths[layout.ends[0]] == 2


def alike(count: int, seed: int) -> list[tuple[int, ...]]:
    """Sequences with one of two beginnings, one of which is all of a further one."""
    rng = random.Random(seed)
    beginnings = [tuple(rng.randrange(3, VOCAB) for _ in range(12 + 5 * n)) for n in range(2)]
    rest = [tuple(rng.randrange(3, VOCAB) for _ in range(1 + n % 4)) for n in range(count)]
    return [*(beginnings[n % 2] + rest[n] for n in range(count)), beginnings[0]]


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_each_alone(family: str, tmp_path: Path) -> None:
    model = load_tiny(tmp_path, family)
    adapters = [random_adapter(model, f"a{slot}", 4, slot) for slot in range(2)]
    pieces = [
        # Some bear loss on what they share, too.
        Piece(slot, Example(tokens, (float(n % 2),) * (len(tokens) - 1) + (1.0,)), 0.3 + n)
        for slot in range(2)
        for n, tokens in enumerate(alike(5, slot))
    ]
    multi = MultiLoraModel(model, 2, 4, list(adapters[0].factors), train=True)
    for slot, adapter in enumerate(adapters):
        multi.load(slot, adapter)
    losses = accumulate_gradients(multi, pieces)
    together = multi.grads_NP.clone()
    multi.grads_NP.zero_()
    one_by_one = [accumulate_gradients(multi, [piece])[0] for piece in pieces]
    assert losses == pytest.approx(one_by_one, rel=1e-4)
    assert float((together - multi.grads_NP).norm() / together.norm()) < 1e-5
    shared = multi.lay_out([piece.example.tokens for piece in pieces], [piece.slot for piece in pieces])
    multi.unwrap()
    # Soft caps are computed another way, which shares nothing.
    assert (len(shared.tokens) < sum(len(piece.example.tokens) for piece in pieces)) == (family != "gemma2")


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_and_scores_are_those_of_each_alone(family: str, tmp_path: Path) -> None:
    model = load_tiny(tmp_path, family)
    models = under({"a": random_adapter(model, "a", 4, 0)})
    requests = [Request(prompt, models[name], 6) for name in (None, "a") for prompt in alike(7, 3)]
    scored = [Scored(request.prompt, (5, 9, 11), request.model) for request in requests]
    generator = BatchedGenerator(model, make_tiny_tokenizer(vocab=VOCAB), frozenset(), max_rows=6)
    texts, scores = generator.generate(requests), generator.score(scored)
    for request, item, text, score in zip(requests, scored, texts, scores, strict=True):
        assert generator.generate([request])[0].tokens == text.tokens
        assert generator.score([item])[0] == pytest.approx(score, abs=1e-4)


def test_nothing_is_shared_where_dropout_draws(tmp_path: Path) -> None:
    model = load_tiny(tmp_path)
    adapter = random_adapter(model, "a", 4, 0)
    pieces = [Piece(0, Example(t, (1.0,) * len(t)), 1.0, dropout=0.5, seed=n) for n, t in enumerate(alike(3, 0))]
    multi = MultiLoraModel(model, 1, 4, list(adapter.factors), train=True)
    multi.load(0, adapter)
    accumulate_gradients(multi, pieces)
    together = multi.grads_NP.clone()
    multi.grads_NP.zero_()
    for piece in pieces:
        accumulate_gradients(multi, [piece])
    multi.unwrap()
    assert torch.allclose(together, multi.grads_NP, rtol=1e-4, atol=1e-5)
