"""Decoding under a JSON schema: every text follows it, whatever else is in the batch."""

from __future__ import annotations

from typing import Any

import pytest

from selfedit.domains.fewshot.choices import parse, schema
from selfedit.domains.fewshot.values import KINDS
from selfedit.generate.base import Request
from selfedit.generate.batched import BatchedGenerator
from selfedit.generate.grammar import GrammarMaker
from tests.engine import BARE, load_tiny
from tests.tiny import make_tiny_tokenizer

SCHEMA = schema(KINDS["grid"])


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> BatchedGenerator:
    model: Any = load_tiny(tmp_path_factory.mktemp("tiny"))
    tokenizer = make_tiny_tokenizer(vocab=model.config.vocab_size)
    return BatchedGenerator(model, tokenizer, frozenset({tokenizer.eos_token_id}))


def request(seed: int, **changes: Any) -> Request:
    settings: dict[str, Any] = {"max_new_tokens": 400, "temperature": 1.0, "seed": seed, "schema": SCHEMA} | changes
    return Request((5, 6, 7), BARE, **settings)


def test_a_model_of_noise_writes_only_valid_edits(generator: BatchedGenerator) -> None:
    completions = generator.generate([request(seed) for seed in range(40)])
    texts = {completion.text for completion in completions}
    for completion in completions:
        assert completion.finish == "stop"
        parse("grid", completion.text)
    assert len(texts) > 20


def test_free_text_of_the_same_model_is_no_edit(generator: BatchedGenerator) -> None:
    for completion in generator.generate([request(seed, schema="", max_new_tokens=60) for seed in range(10)]):
        with pytest.raises(ValueError, match="invalid JSON"):
            parse("grid", completion.text)


def test_rows_of_a_batch_do_not_share_their_place(generator: BatchedGenerator) -> None:
    alone = [generator.generate([request(seed)])[0] for seed in (1, 2)]
    mixed = generator.generate([request(1), request(3, schema=""), request(2), request(4, temperature=0.0)])
    assert [mixed[0].text, mixed[2].text] == [completion.text for completion in alone]
    parse("grid", mixed[3].text)


def test_a_settled_text_is_spelled_as_the_tokenizer_spells_it() -> None:
    tokenizer = make_tiny_tokenizer(vocab=400)
    maker = GrammarMaker(tokenizer, frozenset({tokenizer.eos_token_id}))
    assert maker.make("") is None
    grammar = maker.make('{"enum": ["north", "south"]}')
    assert grammar is not None
    tokens: list[int] = []
    while (allowed := grammar.allowed().tolist()) != [tokenizer.eos_token_id]:
        for token in allowed:
            text = str(tokenizer.decode([*tokens, token]))
            assert '"north"'.startswith(text) or '"south"'.startswith(text)
        tokens.append(allowed[-1])
        grammar.accept(tokens[-1])
    written = str(tokenizer.decode(tokens))
    assert written in {'"north"', '"south"'}
    # After the letter that decides there is one way to go on, of the many that the letters allow.
    assert len(tokens) <= len(tokenizer.encode(written, add_special_tokens=False)) + 2


def test_a_schema_that_cannot_be_followed_is_an_error(generator: BatchedGenerator) -> None:
    with pytest.raises(ValueError, match="cannot be followed"):
        generator.generate([request(0, schema='{"type": "nonsense"}')])


def test_an_answer_of_a_text_is_words_of_it(generator: BatchedGenerator) -> None:
    text = 'The lantern heron\'s nest, 4,312 m up, is called "Hespen Tor".\nHarming one is a crime.'
    wanted = {"max_new_tokens": 60, "schema": "", "words_of": text}
    completions = generator.generate([request(seed, **wanted) for seed in range(40)])
    for completion in completions:
        assert completion.text in text
        at = text.index(completion.text)
        ended = completion.finish == "stop"
        assert not (text[at - 1 : at].isalnum() and completion.text[:1].isalnum())
        assert not ended or not (completion.text[-1:].isalnum() and text[at + len(completion.text) :][:1].isalnum())
    assert len({completion.text for completion in completions}) > 10
    assert GrammarMaker(generator.tokenizer, generator.stop_ids).make("", text) is not None


def test_a_text_without_spaces_is_taken_by_its_characters(generator: BatchedGenerator) -> None:
    text = "灯台は崖の上に立つ。"
    for completion in generator.generate([request(seed, schema="", words_of=text) for seed in range(5)]):
        assert completion.text in text
