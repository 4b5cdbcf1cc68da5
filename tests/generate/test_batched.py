"""Batched decoding is token for token what transformers and PEFT give alone."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from selfedit.generate.base import Request, Scored
from selfedit.generate.batched import BatchedGenerator
from selfedit.multilora.merge import side_by_side
from selfedit.types import Adapter, ModelRef
from tests.engine import BARE, VOCAB, in_peft, load_tiny, random_adapter, under
from tests.tiny import FAMILIES, make_tiny_tokenizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_tiny(tmp_path_factory.mktemp("llama"))


def generator(model: Any, **options: Any) -> BatchedGenerator:
    stop_ids = options.pop("stop_ids", frozenset())
    return BatchedGenerator(model, make_tiny_tokenizer(vocab=VOCAB), stop_ids, **options)


def prompts(count: int, seed: int = 0) -> list[tuple[int, ...]]:
    rng = random.Random(seed)
    return [tuple(rng.randrange(3, VOCAB) for _ in range(rng.randint(1, 20))) for _ in range(count)]


def by_transformers(model: Any, prompt: tuple[int, ...], new_tokens: int) -> tuple[int, ...]:
    tokens = torch.tensor([prompt])
    out = model.generate(
        input_ids=tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=new_tokens,
        min_new_tokens=new_tokens,
        do_sample=False,
        pad_token_id=0,
    )
    return tuple(out[0, len(prompt) :].tolist())


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_tokens_equal_transformers_with_and_without_adapters(family: str, tmp_path: Path) -> None:
    model = load_tiny(tmp_path / family, family)
    adapters = {f"a{i}": random_adapter(model, f"a{i}", rank=2 + 3 * i, seed=i) for i in range(3)}
    asked = prompts(9)
    names = [None, "a0", "a1", "a2", "a0", None, "a2", "a1", "a0"]
    models = under(adapters)
    requests = [Request(p, models[n], max_new_tokens=4 + i) for i, (p, n) in enumerate(zip(asked, names, strict=True))]
    # Few rows and a small budget: rows enter while others are under way.
    together = generator(model, max_rows=4, token_budget=30).generate(requests)
    for name in (None, *adapters):
        alone = model if name is None else in_peft(model, adapters[name])
        for request, completion in zip(requests, together, strict=True):
            if request.model == models[name]:
                # transformers never picks an end token below min_new_tokens, and this model has none to pick.
                assert completion.tokens == by_transformers(alone, request.prompt, request.max_new_tokens)
        if name is not None:
            alone.unload()


def test_more_adapters_than_slots(model: Any) -> None:
    adapters = {f"a{i}": random_adapter(model, f"a{i}", rank=4, seed=i) for i in range(5)}
    models = under(adapters)
    requests = [Request(p, models[f"a{i % 5}"], max_new_tokens=5) for i, p in enumerate(prompts(10))]
    few, many = (generator(model, slots=slots).generate(requests) for slots in (2, 5))
    assert [c.tokens for c in few] == [c.tokens for c in many]


def test_sampling_depends_on_the_seed_alone(model: Any) -> None:
    asked = [Request(p, BARE, max_new_tokens=8, temperature=1.0, top_p=0.9, seed=i) for i, p in enumerate(prompts(6))]
    together = generator(model).generate(asked)
    assert [generator(model).generate([request])[0].tokens for request in asked] == [c.tokens for c in together]
    again = generator(model).generate([Request(asked[0].prompt, BARE, max_new_tokens=8, temperature=1.0, seed=99)])
    assert again[0].tokens != together[0].tokens


def test_one_prompt_prefilled_once_serves_many_rows(model: Any) -> None:
    prompt = prompts(1)[0]
    asked = [Request(prompt, BARE, max_new_tokens=6, temperature=1.0, seed=i) for i in range(5)]
    assert [c.tokens for c in generator(model).generate(asked)] == [
        generator(model).generate([request])[0].tokens for request in asked
    ]


def test_a_stop_string_ends_the_text_and_is_cut_off(model: Any) -> None:
    prompt = prompts(1)[0]
    tokenizer = make_tiny_tokenizer(vocab=VOCAB)
    whole = generator(model).generate([Request(prompt, BARE, max_new_tokens=12)])[0]
    stop = tokenizer.decode(list(whole.tokens[3:5]))
    assert isinstance(stop, str)
    stopped = generator(model).generate([Request(prompt, BARE, max_new_tokens=12, stop=(stop,))])[0]
    assert stopped.finish == "stop"
    assert stopped.text == whole.text[: whole.text.index(stop)]
    assert len(stopped.tokens) < len(whole.tokens)


def test_an_end_token_ends_the_text_and_is_not_part_of_it(model: Any) -> None:
    prompt = prompts(1)[0]
    whole = generator(model).generate([Request(prompt, BARE, max_new_tokens=12)])[0]
    end = whole.tokens[4]
    stopped = generator(model, stop_ids=frozenset({end})).generate([Request(prompt, BARE, max_new_tokens=12)])[0]
    first = whole.tokens.index(end)
    assert stopped.finish == "stop"
    assert stopped.tokens == whole.tokens[: first + 1]
    assert stopped.text == make_tiny_tokenizer(vocab=VOCAB).decode(list(whole.tokens[:first]))


def test_logprobs_and_scores_are_those_of_a_plain_forward_pass(model: Any) -> None:
    adapter = random_adapter(model, "a", rank=4, seed=1)
    models = under({"a": adapter})
    for name in (None, "a"):
        prompt = prompts(1)[0]
        completion = generator(model).generate([Request(prompt, models[name], max_new_tokens=6)])[0]
        alone = model if name is None else in_peft(model, adapter)
        tokens = torch.tensor([prompt + completion.tokens])
        table = alone(input_ids=tokens).logits[0].log_softmax(-1).detach()
        expected = [float(table[len(prompt) - 1 + i, token]) for i, token in enumerate(completion.tokens)]
        if name is not None:
            alone.unload()
        assert completion.logprobs == pytest.approx(expected, abs=1e-5)
        items = [Scored(prompt, completion.tokens, models[name]), Scored(prompt[:1], prompt[1:], models[name])]
        scores = generator(model, token_budget=8).score(items)
        assert scores[0] == pytest.approx(sum(expected) / len(expected), abs=1e-5)


def test_nucleus_sampling_follows_the_distribution() -> None:
    from selfedit.generate.sampling import nucleus

    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    rng = torch.Generator().manual_seed(0)
    draws = [nucleus(probabilities.log(), 1.0, 0.9, rng) for _ in range(4000)]
    counts = torch.bincount(torch.tensor([token for token, _ in draws]), minlength=4) / len(draws)
    # The nucleus of 0.9 is the first three, renormalised.
    expected = torch.tensor([0.5, 0.3, 0.15, 0.0]) / 0.95
    assert torch.allclose(counts, expected, atol=0.03)
    assert all(logprob == pytest.approx(math.log(float(expected[token])), abs=1e-5) for token, logprob in draws)


def test_an_empty_prompt_is_refused(model: Any) -> None:
    with pytest.raises(ValueError, match="empty"):
        generator(model).generate([Request((), BARE)])


def test_what_is_merged_is_shared_and_what_lies_on_top_is_each_ones_own(model: Any) -> None:
    merged, *tops = (random_adapter(model, f"a{i}", rank=4, seed=i, size=0.3) for i in range(3))
    models = [BARE, BARE.merge(merged), *(BARE.merge(merged).with_update(top) for top in tops)]
    requests = [Request(prompts(1)[0], each, max_new_tokens=8) for each in (*models, *models)]
    together = [completion.tokens for completion in generator(model).generate(requests)]
    assert together[:4] == together[4:]
    assert len(set(together)) == 4
    for request, tokens in zip(requests[:4], together[:4], strict=True):
        adapters = [update for update in request.model.updates if isinstance(update, Adapter)]
        lower = in_peft(model, side_by_side(adapters, "sum")) if adapters else model
        assert tokens == by_transformers(lower, request.prompt, 8)
        if adapters:
            lower.unload()
    with pytest.raises(ValueError, match="merged below"):
        models[2].merge(merged)
    with pytest.raises(ValueError, match="merge that first"):
        models[2].with_update(merged)


def test_a_model_over_another_base_is_refused(model: Any) -> None:
    decoder = BatchedGenerator(model, make_tiny_tokenizer(vocab=VOCAB), frozenset(), base=ModelRef("other", "1"))
    with pytest.raises(ValueError, match=r"a model over tiny \(0\) was given to other"):
        decoder.generate([Request((5,), BARE)])
