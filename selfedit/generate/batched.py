"""The default generator: rows of one batch under different adapters, entering and leaving at any step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from selfedit.generate.base import Completion, Generator, OnCompletion, Request, Scored
from selfedit.generate.decoder import Decoder
from selfedit.generate.grammar import GrammarMaker
from selfedit.generate.row import Row
from selfedit.multilora.kv_cache import KVCache
from selfedit.multilora.merge import check_base, merged
from selfedit.multilora.model import MultiLoraModel
from selfedit.turns import Turns
from selfedit.types import Adapter, Model, ModelRef, Update


class BatchedGenerator(Generator):
    """Decodes up to `max_rows` sequences at once.

    Args:
        stop_ids: tokens that end a text.
        token_budget: prompt tokens of one prefill, and tokens of one scoring pass.
        slots: adapters held at once; requests of more adapters run in groups.
        base: what the model is; None takes requests for any.
        turns: where others use the model's weights, too.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        stop_ids: frozenset[int],
        max_rows: int = 32,
        token_budget: int = 2048,
        slots: int = 32,
        base: ModelRef | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._turns = turns or Turns()
        self.model, self.tokenizer, self.stop_ids, self.base = model, tokenizer, stop_ids, base
        self.max_rows, self.token_budget, self.slots = max_rows, token_budget, slots
        self._grammars = GrammarMaker(tokenizer, stop_ids)

    def generate(
        self,
        requests: Sequence[Request],
        on_completion: OnCompletion | None = None,
    ) -> list[Completion]:
        for request in requests:
            if not request.prompt:
                raise ValueError("a prompt is empty")
        done: dict[int, Completion] = {}

        def finish(index: int, completion: Completion) -> None:
            done[index] = completion
            if on_completion is not None:
                on_completion(index, completion)

        for group in self._groups([request.model for request in requests]):
            with self._adapted(group) as multi:
                rows = {Row(requests[i], self._grammars.of(requests[i]), slot): i for i, slot in group.slots}
                self._decode(multi, rows, finish)
        return [done[i] for i in range(len(requests))]

    @torch.no_grad()
    def score(self, items: Sequence[Scored]) -> list[float]:
        scores: dict[int, float] = {}
        for group in self._groups([item.model for item in items]):
            with self._adapted(group) as multi:
                waiting = deque(group.slots)
                while waiting:
                    batch = [waiting.popleft()]
                    room = self.token_budget - _length(items[batch[0][0]])
                    while waiting and _length(items[waiting[0][0]]) <= room:
                        room -= _length(items[waiting[0][0]])
                        batch.append(waiting.popleft())
                    with self._turns.turn():
                        means = _score_pass(multi, [items[i] for i, _ in batch], [slot for _, slot in batch])
                    scores.update(zip((i for i, _ in batch), means, strict=True))
        return [scores[i] for i in range(len(items))]

    @torch.no_grad()
    def divergence(self, texts: Sequence[tuple[tuple[int, ...], Model]], base: Model) -> list[float]:
        ours = self._distributions([(tokens, model) for tokens, model in texts])
        theirs = self._distributions([(tokens, base) for tokens, _ in texts])
        return [
            float((base_TV.exp() * (base_TV - model_TV)).sum(-1).mean().clamp_min(0.0))
            for base_TV, model_TV in zip(theirs, ours, strict=True)
        ]

    def _distributions(self, texts: Sequence[tuple[tuple[int, ...], Model]]) -> list[torch.Tensor]:
        """Log-probabilities of the next token after each token of a text, [T, vocabulary], one text a pass."""
        logprobs: dict[int, torch.Tensor] = {}
        for group in self._groups([model for _, model in texts]):
            with self._adapted(group) as multi:
                for index, slot in group.slots:
                    tokens = texts[index][0]
                    with self._turns.turn():
                        hidden_TH = multi.hidden_states(list(tokens), multi.batch([len(tokens)], [slot]))
                        logprobs[index] = multi.logits(hidden_TH).float().log_softmax(-1)
        return [logprobs[index] for index in range(len(texts))]

    def _decode(self, multi: MultiLoraModel, rows: dict[Row, int], finish: OnCompletion) -> None:
        """Decode all rows to their ends, which are told with their indices."""
        cache = KVCache(min(self.max_rows, len(rows)), max((row.longest for row in rows), default=0))
        decoder = Decoder(multi, cache, self.token_budget)
        # Those that begin alike come one after another, so that they are let in together.
        decoder.add(sorted(rows, key=lambda row: (row.slot is not None, row.slot or 0, row.request.prompt)))
        while decoder.rows:
            with self._turns.turn():
                stepped = decoder.step()
            ended = []
            for row in stepped:
                row.advance(self.tokenizer, self.stop_ids)
                if row.completion is not None:
                    finish(rows[row], row.completion)
                    ended.append(row)
            decoder.drop(ended)

    def _groups(self, models: Sequence[Model]) -> list[_Group]:
        """Split indices so that each group shares what is merged and has no more adapters than there are slots."""
        check_base(models, self.base)
        by_model: dict[Model, list[int]] = {}
        for index, model in enumerate(models):
            by_model.setdefault(model, []).append(index)
        open_groups: dict[tuple[Update, ...], _Group] = {}
        groups: list[_Group] = []
        for model, indices in by_model.items():
            group = open_groups.get(model.merged)
            if group is None or (model.adapter is not None and len(group.adapters) == self.slots):
                group = open_groups[model.merged] = _Group(model.merged)
                groups.append(group)
            slot = None
            if model.adapter is not None:
                slot = len(group.adapters)
                group.adapters.append(model.adapter)
            group.slots.extend((index, slot) for index in indices)
        return groups

    @contextmanager
    def _adapted(self, group: _Group) -> Iterator[MultiLoraModel]:
        """The model as a group's requests need it, for the time of the block."""
        rank = max((adapter.lora.rank for adapter in group.adapters), default=1)
        layers = {layer for adapter in group.adapters for layer in adapter.factors}
        with merged(self.model, group.merged):
            multi = MultiLoraModel(self.model, max(1, len(group.adapters)), rank, layers)
            try:
                for slot, adapter in enumerate(group.adapters):
                    multi.load(slot, adapter)
                yield multi
            finally:
                multi.unwrap()


@dataclass
class _Group:
    """Requests that run together: what is merged for them, the adapters in the slots, and each request's slot."""

    merged: tuple[Update, ...]
    adapters: list[Adapter] = field(default_factory=list)
    slots: list[tuple[int, int | None]] = field(default_factory=list)


def _length(item: Scored) -> int:
    return len(item.prompt) + len(item.target)


def _score_pass(multi: MultiLoraModel, items: list[Scored], slots: list[int | None]) -> list[float]:
    """Mean log-probability of each item's target, in one packed forward pass."""
    # The last token predicts nothing that is scored.
    layout = multi.lay_out([(item.prompt + item.target)[:-1] for item in items], slots)
    hidden_TH = multi.hidden_states(layout.tokens, multi.batch(layout.lengths, layout.slots, parents=layout.parents))
    means = []
    for index, item in enumerate(items):
        hidden = hidden_TH[layout.rows(index)[len(item.prompt) - 1 :]]
        logprobs_LV = multi.logits(hidden).log_softmax(-1)
        targets = torch.tensor(item.target, device=hidden.device)
        means.append(float(logprobs_LV.gather(1, targets[:, None]).mean()))
    return means
