"""The default generator: rows of one batch under different adapters, entering and leaving at any step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from selfedit.generate.base import Completion, Generator, OnCompletion, Request, Scored
from selfedit.generate.grammar import Grammar, GrammarMaker
from selfedit.generate.sampling import greedy, nucleus
from selfedit.multilora.kv_cache import KVCache
from selfedit.multilora.merge import check_base, merged
from selfedit.multilora.model import MultiLoraModel
from selfedit.types import Adapter, Model, ModelRef, Update

_LET_IN = 4
"""Rows wait until this part of all is free: what they begin with alike is then read once for several."""


class BatchedGenerator(Generator):
    """Decodes up to `max_rows` sequences at once.

    Args:
        stop_ids: tokens that end a text.
        token_budget: prompt tokens of one prefill, and tokens of one scoring pass.
        slots: adapters held at once; requests of more adapters run in groups.
        base: what the model is; None takes requests for any.
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
    ) -> None:
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
                rows = [
                    _Sequence(i, requests[i], slot, self._grammars.make(requests[i].schema)) for i, slot in group.slots
                ]
                _Decoder(multi, self.tokenizer, self.stop_ids, self.max_rows, self.token_budget).run(rows, finish)
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
                    hidden_TH = multi.hidden_states(list(tokens), multi.batch([len(tokens)], [slot]))
                    logprobs[index] = multi.logits(hidden_TH).float().log_softmax(-1)
        return [logprobs[index] for index in range(len(texts))]

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


class _Sequence:
    """One request being decoded."""

    def __init__(self, index: int, request: Request, slot: int | None, grammar: Grammar | None) -> None:
        self.index, self.request, self.slot, self._grammar = index, request, slot, grammar
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self.generator = torch.Generator().manual_seed(request.seed)

    @property
    def prompt_key(self) -> tuple[int | None, tuple[int, ...]]:
        return self.slot, self.request.prompt

    def pick(self, logits_V: torch.Tensor) -> None:
        """Choose the next token from the logits; only from those that the grammar allows, where there is one."""
        if self._grammar is None:
            token, logprob = self._choose(logits_V)
        else:
            tokens_A = self._grammar.allowed()
            # Some tokenizers have more tokens than their model has logits.
            tokens_A = tokens_A[tokens_A < logits_V.numel()]
            place, logprob = self._choose(logits_V[tokens_A])
            token = int(tokens_A[place])
            self._grammar.accept(token)
        self.tokens.append(token)
        self.logprobs.append(logprob)

    def _choose(self, logits_V: torch.Tensor) -> tuple[int, float]:
        if self.request.temperature == 0:
            return greedy(logits_V)
        return nucleus(logits_V, self.request.temperature, self.request.top_p, self.generator)

    def completion(self, tokenizer: PreTrainedTokenizerBase, stop_ids: frozenset[int]) -> Completion | None:
        """The completion, if it ended with the newest token."""
        ended = self.tokens[-1] in stop_ids
        text_tokens = self.tokens[:-1] if ended else self.tokens
        text = ""
        if ended or self.request.stop or len(self.tokens) == self.request.max_new_tokens:
            text = str(tokenizer.decode(text_tokens, skip_special_tokens=True))
        cuts = [at for at in (text.find(stop) for stop in self.request.stop) if at >= 0]
        if cuts:
            text, ended = text[: min(cuts)], True
        if ended or len(self.tokens) == self.request.max_new_tokens:
            return Completion(text, tuple(self.tokens), tuple(self.logprobs), "stop" if ended else "length")
        return None


class _Decoder:
    """Prefills waiting rows where there is room and decodes the live ones, one token a step."""

    def __init__(
        self,
        multi: MultiLoraModel,
        tokenizer: PreTrainedTokenizerBase,
        stop_ids: frozenset[int],
        max_rows: int,
        token_budget: int,
    ) -> None:
        self._multi, self._tokenizer, self._stop_ids = multi, tokenizer, stop_ids
        self._max_rows, self._token_budget = max_rows, token_budget
        self._live: list[_Sequence] = []

    @torch.no_grad()
    def run(self, rows: Sequence[_Sequence], finish: OnCompletion) -> None:
        """Decode all rows to their ends."""
        # Those that begin alike come one after another, so that they are let in together.
        waiting = deque(sorted(rows, key=lambda row: (row.slot is not None, row.slot or 0, row.request.prompt)))
        capacity = max((len(row.request.prompt) + row.request.max_new_tokens for row in rows), default=0)
        cache = KVCache(min(self._max_rows, len(rows)), capacity)
        while waiting or self._live:
            room = cache.max_rows - len(self._live)
            if waiting and room >= min(len(waiting), max(1, cache.max_rows // _LET_IN)):
                logits = self._prefill(waiting, cache)
            else:
                logits = self._decode(cache)
            for row, logits_V in logits:
                row.pick(logits_V)
            self._retire(cache, finish)

    def _prefill(self, waiting: deque[_Sequence], cache: KVCache) -> list[tuple[_Sequence, torch.Tensor]]:
        """Let waiting rows in, each distinct prompt computed once."""
        entering: dict[tuple[int | None, tuple[int, ...]], list[_Sequence]] = {}
        cache_rows: dict[tuple[int | None, tuple[int, ...]], list[int]] = {}
        room = self._token_budget
        while waiting and len(cache.lengths) < cache.max_rows:
            key = waiting[0].prompt_key
            if key not in entering:
                if entering and len(key[1]) > room:
                    break
                room -= len(key[1])
            row = waiting.popleft()
            entering.setdefault(key, []).append(row)
            cache_rows.setdefault(key, []).append(cache.add(len(key[1])))
            self._live.append(row)
        layout = self._multi.lay_out([prompt for _, prompt in entering], [slot for slot, _ in entering])
        rows_of = list(cache_rows.values())
        rows = [[row for prompt in members for row in rows_of[prompt]] for members in layout.members()]
        batch = self._multi.batch(layout.lengths, layout.slots, cache, rows, parents=layout.parents)
        hidden_TH = self._multi.hidden_states(layout.tokens, batch)
        last = torch.tensor(list(accumulate(layout.lengths)))[list(layout.ends)] - 1
        logits_PV = self._multi.logits(hidden_TH[last.to(hidden_TH.device)]).cpu()
        return [(row, logits_PV[i]) for i, rows in enumerate(entering.values()) for row in rows]

    def _decode(self, cache: KVCache) -> list[tuple[_Sequence, torch.Tensor]]:
        starts = list(cache.lengths)
        cache.grow()
        batch = self._multi.batch([1] * len(self._live), [row.slot for row in self._live], cache, decode=True)
        hidden_BH = self._multi.hidden_states([row.tokens[-1] for row in self._live], batch, starts)
        return list(zip(self._live, self._multi.logits(hidden_BH).cpu(), strict=True))

    def _retire(self, cache: KVCache, finish: OnCompletion) -> None:
        stay = []
        for position, row in enumerate(self._live):
            completion = row.completion(self._tokenizer, self._stop_ids)
            if completion is None:
                stay.append(position)
            else:
                finish(row.index, completion)
        if len(stay) < len(self._live):
            cache.keep(stay)
            self._live = [self._live[position] for position in stay]


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
