"""Workers in this process: real messages and real work, and whatever is to go wrong on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from selfedit.executors.fleet import Answered, Event, Fleet, Gone, Ready
from selfedit.executors.wire import Answer, unpack_message
from selfedit.executors.worker import Worker, open_worker
from selfedit.experiments.runs.records import RunRecords
from selfedit.files.serialize import encode
from tests.experiments.test_train import outcome

Mishap = Callable[[str, str, int], str]
"""From a worker, an order's name and how often that was sent so far to what goes wrong: see `InlineFleet`."""


class InlineFleet(Fleet):
    """Each poll does one order.

    Args:
        mishap: 'dies', 'node dies', 'raises: why', 'twice' (answers two times), 'slow' (after all others), or ''.
    """

    def __init__(self, spec: bytes, workers: int, mishap: Mishap = lambda *_: "") -> None:
        hello, worker = open_worker(spec)
        assert worker is not None, hello.fault
        self._worker: Worker = worker
        self._mishap = mishap
        self.names = [f"w{number}" for number in range(workers)]
        self._events: list[Event] = [Ready(name, "here") for name in self.names]
        self._orders: list[tuple[str, str, bytes, str, bytes]] = []
        self.sent: list[tuple[str, str]] = []
        self.models: set[str] = set()

    def poll(self, timeout: float) -> Sequence[Event]:
        if not self._events and self._orders:
            self._do(*self._orders.pop(0))
        events, self._events = self._events, []
        return events

    def _do(self, worker: str, name: str, order: bytes, model_key: str, model: bytes) -> None:
        what = self._mishap(worker, name, sum(sent == name for _, sent in self.sent))
        if what == "slow" and self._orders:
            self._orders.append((worker, name, order, model_key, model))
            return
        if "dies" in what:
            self.names.append(f"w{len(self.names)}")
            self._events += [Gone(worker, what, blamed=what == "dies"), Ready(self.names[-1], "here")]
        elif what.startswith("raises"):
            self._events.append(Answered(worker, encode(Answer(unpack_message(order)[0], failure=what))))
        else:
            data = self._worker.work(order, model_key, lambda: model)
            self._events += [Answered(worker, data)] * (2 if what == "twice" else 1)

    def send(self, worker: str, name: str, order: bytes, model_key: str, model: bytes) -> None:
        self.sent.append((worker, name))
        self.models.add(model_key)
        self._orders.append((worker, name, order, model_key, model))

    @property
    def starting(self) -> int:
        return 0

    def close(self) -> None:
        self._orders.clear()


def by_trial(records: RunRecords) -> list[Any]:
    """All that came of a run, whichever chunk ended first, but for the float noise of what is written and asked.

    Adapters are the same to the bit. Edits are written and the base is asked in smaller batches than in one process, so
    that log-probabilities differ in their last digits.
    """
    trials, _ = outcome(records)
    rounds = [
        (
            record.policy_sha256,
            record.policy_losses,
            [(r.edit.id, r.edit.text, tuple(round(value, 5) for value in r.rewards), r.kept) for r in record.rollouts],
        )
        for record in records.rounds()
    ]
    return [sorted(trials, key=lambda trial: trial[:2]), rounds]
