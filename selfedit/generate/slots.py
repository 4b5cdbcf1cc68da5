"""One model that stays wrapped, and the adapters in its slots: put in when a row needs them, out when room is short."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager

from transformers import PreTrainedModel

from selfedit.multilora.merge import merged
from selfedit.multilora.model import MultiLoraModel
from selfedit.types import Adapter, Update


class AdapterSlots:
    """Holds a model and up to `count` adapters on it. An adapter that rows use keeps its slot.

    The model is wrapped anew only where an adapter has a larger rank or other layers than those before it, where
    something else is to be merged, and after it was lent to somebody else.

    Attributes:
        multi: the wrapped model. Another one after any of these.
        merged: what lies below the adapters.
    """

    def __init__(self, model: PreTrainedModel, count: int) -> None:
        self._model, self.count = model, count
        self.merged: tuple[Update, ...] = ()
        self._merging = ExitStack()
        self._slots: OrderedDict[Adapter, int] = OrderedDict()  # The least recently used first.
        self._users: Counter[Adapter] = Counter()
        self._layers: frozenset[str] = frozenset()
        self.multi = MultiLoraModel(model, count, 1, ())

    def take(self, adapter: Adapter) -> int | None:
        """The slot of an adapter for one more row; None while rows use all slots."""
        if adapter not in self._slots:
            slot = self._free_slot()
            if slot is None:
                return None
            if adapter.lora.rank > self.multi.rank or not adapter.factors.keys() <= self._layers:
                self._wrap(max(adapter.lora.rank, self.multi.rank), self._layers | adapter.factors.keys())
            self.multi.load(slot, adapter)
            self._slots[adapter] = slot
        self._slots.move_to_end(adapter)
        self._users[adapter] += 1
        return self._slots[adapter]

    def give_back(self, adapter: Adapter) -> None:
        """One row less uses an adapter. It stays in its slot until another needs that."""
        self._users[adapter] -= 1
        if not self._users[adapter]:
            del self._users[adapter]

    def merge(self, updates: tuple[Update, ...]) -> None:
        """Have these merged below all adapters, and nothing else. Only while no row is live."""
        self.multi.unwrap()
        self._merging.close()
        self._merging.enter_context(merged(self._model, updates))
        self.merged = updates
        self._wrap(self.multi.rank, self._layers)

    @contextmanager
    def lent(self) -> Iterator[PreTrainedModel]:
        """The bare model for the time of the block, with nothing merged; rows go on where they were afterwards."""
        self.multi.unwrap()
        self._merging.close()
        try:
            yield self._model
        finally:
            self._merging.enter_context(merged(self._model, self.merged))
            self._wrap(self.multi.rank, self._layers)

    def close(self) -> None:
        """Put the model back as it was."""
        self.multi.unwrap()
        self._merging.close()

    def _free_slot(self) -> int | None:
        taken = set(self._slots.values())
        # The lowest one: slots in a run are sliced, not gathered.
        if (slot := next((slot for slot in range(self.count) if slot not in taken), None)) is not None:
            return slot
        idle = next((adapter for adapter in self._slots if not self._users[adapter]), None)
        return None if idle is None else self._slots.pop(idle)

    def _wrap(self, rank: int, layers: Collection[str]) -> None:
        self.multi.unwrap()
        self._layers = frozenset(layers)
        self.multi = MultiLoraModel(self._model, self.count, rank, self._layers)
        for adapter, slot in self._slots.items():
            self.multi.load(slot, adapter)
