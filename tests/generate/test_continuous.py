"""A batch that requests enter and leave at any step gives each what it would get alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from selfedit.generate.base import Request
from selfedit.generate.batched import BatchedGenerator
from selfedit.generate.continuous import ContinuousBatch
from selfedit.generate.row import Row, TextIncrements
from selfedit.multilora.kv_cache import KVCache
from selfedit.multilora.model import MultiLoraModel
from selfedit.types import LoraSpec, Model
from tests.engine import BARE, VOCAB, load_tiny, random_adapter
from tests.generate.test_batched import prompts
from tests.tiny import make_tiny_tokenizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_tiny(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def models(model: Any) -> list[Model]:
    """The bare model, and under adapters of several ranks, the later ones larger."""
    return [BARE, *(BARE.with_update(random_adapter(model, f"a{i}", 2 + 3 * i, seed=i)) for i in range(4))]


def alone(model: Any, requests: list[Request]) -> list[str]:
    generator = BatchedGenerator(model, make_tiny_tokenizer(vocab=VOCAB), frozenset())
    return [completion.text for completion in generator.generate(requests)]


def batch(model: Any, **options: Any) -> ContinuousBatch:
    return ContinuousBatch(model, make_tiny_tokenizer(vocab=VOCAB), frozenset(), **options)


def run(running: ContinuousBatch, rows: list[Row], arriving: list[Request], every: int = 1) -> dict[Row, str]:
    """Step until all have ended, one more request arriving every few steps; the streamed text of each."""
    texts = dict.fromkeys(rows, "")
    for step in range(1000):
        if arriving and step % every == 0:
            row = running.add(arriving.pop(0), streams=True)
            rows.append(row)
            texts[row] = ""
        for row, piece in running.step():
            texts[row] += piece
        if not arriving and not running.rows and not running.waiting:
            return texts
    raise AssertionError("the batch does not run empty")


def test_rows_that_come_and_go_are_as_alone_with_few_slots_rows_and_little_memory(
    model: Any, models: list[Model]
) -> None:
    requests = [Request(p, models[i % 5], max_new_tokens=3 + i % 7) for i, p in enumerate(prompts(24))]
    expected = alone(model, requests)
    running = batch(model, max_rows=4, slots=2, token_budget=30, cache_tokens=90)
    rows: list[Row] = []
    texts = run(running, rows, list(requests), every=2)
    running.close()
    assert [row.completion and row.completion.text for row in rows] == expected
    assert list(texts.values()) == expected
    assert alone(model, requests[:2]) == expected[:2], "the model is as it was"


def test_what_is_merged_waits_for_the_batch_to_run_empty(model: Any, models: list[Model]) -> None:
    below = BARE.merge(random_adapter(model, "below", 3, seed=9, size=0.3))
    assert models[1].adapter is not None
    kinds = [models[1], below, below.with_update(models[1].adapter), BARE]
    requests = [Request(p, kinds[i % 4], max_new_tokens=4) for i, p in enumerate(prompts(8))]
    expected = alone(model, requests)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    running = batch(model)
    rows: list[Row] = []
    run(running, rows, list(requests))
    running.close()
    assert [row.completion and row.completion.text for row in rows] == expected
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


def test_a_cancelled_row_frees_its_place_and_its_slot_at_once(model: Any, models: list[Model]) -> None:
    requests = [Request(p, models[1 + i], max_new_tokens=50) for i, p in enumerate(prompts(3))]
    expected = alone(model, requests)
    running = batch(model, max_rows=2, slots=1)
    rows = [running.add(request) for request in requests]
    running.step()
    assert (running.rows, running.waiting) == (1, 2), "the one slot is taken"
    running.cancel(rows[0])
    assert running.rows == 0
    running.cancel(rows[1])
    assert running.waiting == 1
    run(running, rows, [])
    running.close()
    assert rows[0].completion is rows[1].completion is None
    assert rows[2].completion is not None and rows[2].completion.text == expected[2]


def test_in_a_crowd_those_who_come_are_let_in_together(model: Any) -> None:
    running = batch(model, max_rows=20, token_budget=512)
    for prompt in prompts(16):
        running.add(Request(prompt, BARE, max_new_tokens=20))
    running.step()
    assert running.rows == 16
    seen = []
    for prompt in prompts(3, seed=1):
        running.add(Request(prompt, BARE, max_new_tokens=20))
        running.step()
        seen.append(running.rows)
    running.close()
    assert seen == [16, 16, 19]


def read(running: ContinuousBatch, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each pass of a batch has, as it goes on."""
    counts: list[int] = []
    hidden_states = MultiLoraModel.hidden_states

    def counted(self: MultiLoraModel, tokens: Any, *rest: Any) -> torch.Tensor:
        counts.append(len(tokens))
        return hidden_states(self, tokens, *rest)

    monkeypatch.setattr(MultiLoraModel, "hidden_states", counted)
    return counts


def test_long_prompts_are_read_in_pieces_and_live_rows_never_wait_for_more_than_one(
    model: Any, models: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two tokens of a live row there is at most one other pass, of no more tokens than the budget."""
    short, long = prompts(2), [tuple(range(3, 300)), tuple(range(20, 220)) * 2]
    requests = [Request(p, models[i], max_new_tokens=60) for i, p in enumerate(short)]
    requests += [Request(p, models[1 + i], max_new_tokens=5) for i, p in enumerate(long)]
    requests += [Request(long[1], models[2], max_new_tokens=5, temperature=1.0, seed=i) for i in range(2)]
    expected = alone(model, requests)
    running = batch(model, token_budget=30)
    counts = read(running, monkeypatch)
    rows = [running.add(request) for request in requests[:2]]
    running.step()
    rows += [running.add(request) for request in requests[2:]]
    since = [0, 0]
    while running.rows or running.waiting:
        moved = [row for row, _ in running.step()]
        for i in range(2):
            since[i] = 0 if rows[i] in moved or rows[i].completion else since[i] + 1
            assert since[i] <= 1
    running.close()
    assert max(counts) <= 30
    assert [row.completion and row.completion.text for row in rows] == expected


@pytest.mark.parametrize("family", ["gemma2", "gpt2", "gptj"])
def test_pieces_in_other_families(family: str, tmp_path: Path) -> None:
    """With sliding windows and soft caps, with positions that are learnt, and where nothing can be packed."""
    other = load_tiny(tmp_path, family)
    under = BARE.with_update(random_adapter(other, "a", 3, seed=1))
    requests = [Request(tuple(range(3, 90)), model, max_new_tokens=6) for model in (BARE, under)]
    running = batch(other, token_budget=16)
    rows: list[Row] = []
    run(running, rows, list(requests), every=2)
    running.close()
    assert [row.completion and row.completion.text for row in rows] == alone(other, requests)


def test_what_a_live_row_begins_with_alike_is_not_read_again(
    model: Any, models: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = tuple(range(5, 45))
    requests = [Request((*begin, 50 + i, 60 + i), models[1 + i % 2], max_new_tokens=9) for i in range(6)]
    expected = alone(model, requests)
    running = batch(model)
    counts = read(running, monkeypatch)
    rows: list[Row] = []
    run(running, rows, list(requests))
    running.close()
    assert [row.completion and row.completion.text for row in rows] == expected
    # The first under each adapter is read whole, of the others what is their own; then a token a row each time.
    assert sum(counts) == 2 * 42 + 4 * 2 + 6 * 8


def test_a_prompt_that_is_being_read_can_be_cancelled(model: Any, models: list[Model]) -> None:
    long = Request(tuple(range(3, 200)), models[1], max_new_tokens=5)
    short = Request(prompts(1)[0], models[1], max_new_tokens=5)
    expected = alone(model, [short])
    running = batch(model, token_budget=30, slots=1)
    gone = running.add(long)
    running.step()
    assert running.rows == 1
    running.cancel(gone)
    assert running.rows == 0
    rows = [running.add(short)]
    run(running, rows, [])
    running.close()
    assert gone.completion is None
    assert [row.completion and row.completion.text for row in rows] == expected


def test_rows_go_on_after_the_model_was_lent(model: Any, models: list[Model]) -> None:
    requests = [Request(p, models[i], max_new_tokens=10) for i, p in enumerate(prompts(4))]
    expected = alone(model, requests)
    running = batch(model)
    rows = [running.add(request) for request in requests]
    for _ in range(4):
        running.step()
    with running.lent() as bare:
        assert bare is model and alone(model, requests[:1]) == expected[:1]
    run(running, rows, [])
    running.close()
    assert [row.completion and row.completion.text for row in rows] == expected


def test_after_a_failed_step_the_batch_can_be_used(model: Any, models: list[Model]) -> None:
    request = Request(prompts(1)[0], models[1], max_new_tokens=5)
    expected = alone(model, [request])
    broken = random_adapter(model, "broken", 2, seed=1)
    object.__setattr__(broken, "lora", LoraSpec(rank=5))  # Not the rank that it has.
    running = batch(model, slots=1)
    running.add(Request(prompts(1)[0], BARE.with_update(broken)))
    with pytest.raises(RuntimeError):
        running.step()
    running.reset()
    rows = [running.add(request)]
    run(running, rows, [])
    running.close()
    assert rows[0].completion is not None and rows[0].completion.text == expected[0]


def test_pieces_never_split_a_character_and_hold_back_what_may_be_a_stop() -> None:
    text = "né 🎈 END of it"
    increments = TextIncrements(("END.",))
    data = text.encode()
    pieces = [increments.next(data[:end].decode(errors="replace")) for end in range(1, len(data) + 1)]
    assert all("\N{REPLACEMENT CHARACTER}" not in piece for piece in pieces)
    assert "".join(pieces) == text
    assert "END " in pieces, "no stop after all: shown together when that was clear"
    stopped = TextIncrements(("END.",))
    shown = [stopped.next(part) for part in ("a", "a E", "a END")] + [stopped.next("a ", ended=True)]
    assert shown == ["a", " ", "", ""]
    broken = TextIncrements()
    assert broken.next("a\ufffd") + broken.next("a\ufffd", ended=True) == "a\ufffd", "at the end nothing is held back"


def test_the_report_is_of_the_model_alone(model: Any) -> None:
    prompt = prompts(1)[0]
    request = Request(prompt, BARE, max_new_tokens=4, temperature=2.0, top_p=0.5, seed=3, report=3)
    (completion,) = BatchedGenerator(model, make_tiny_tokenizer(vocab=VOCAB), frozenset()).generate([request])
    with torch.no_grad():
        table = model(input_ids=torch.tensor([prompt + completion.tokens])).logits[0].log_softmax(-1)
    assert len(completion.reported) == 4
    for i, reported in enumerate(completion.reported):
        row = table[len(prompt) - 1 + i]
        assert reported.logprob == pytest.approx(float(row[completion.tokens[i]]), abs=1e-5)
        assert [token for token, _ in reported.top] == row.topk(3).indices.tolist()


def test_a_cache_grows_and_closes_rows_without_losing_any() -> None:
    cache = KVCache(8, 0, rows=0)
    data = torch.arange(6 * 5 * 2, dtype=torch.float32).view(6, 1, 5, 2)
    for row in range(6):
        cache.reserve(row + 1, 5 + 60 * (row > 3))
        cache.add(5)
        cache.write(0, (row,), 0, data[row], -data[row])
    order = cache.keep([0, 2, 3, 5])
    assert sorted(order) == [0, 2, 3, 5] and order[0] == 0
    cache.grow()
    keys, values, lengths = cache.append(0, torch.zeros(1, 4, 2), torch.zeros(1, 4, 2))
    assert lengths.tolist() == [6] * 4
    assert torch.equal(keys[:, :, :5], data[order]) and torch.equal(values[:, :, :5], -data[order])
