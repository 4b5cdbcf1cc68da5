"""Workers that are processes of this machine: one a GPU, or each with a share of the cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from selfedit.executors.fleet import Answered, Event, Fleet, Gone, Ready, Unfit
from selfedit.executors.worker import Hello, open_worker
from selfedit.files.serialize import decode, encode

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess


@dataclass
class _Process:
    process: SpawnProcess
    connection: Connection
    place: int
    greeted: bool = False
    model_key: str = ""


class ProcessFleet(Fleet):
    """Spawned, not forked: torch and CUDA do not outlive a fork. One that dies is spawned again.

    Args:
        spec: what a worker is made of, packed.
        shares: the environment of each worker, by which it has its GPU or its cores.
    """

    def __init__(self, spec: bytes, shares: Sequence[Mapping[str, str]]) -> None:
        self._spec, self._shares = spec, shares
        self._workers: dict[str, _Process] = {}
        self._count = 0
        for place in range(len(shares)):
            self._spawn(place)

    def poll(self, timeout: float) -> Sequence[Event]:
        by_connection = {worker.connection: name for name, worker in self._workers.items()}
        events: list[Event] = []
        for connection in wait(list(by_connection), timeout):
            assert isinstance(connection, Connection)
            events.append(self._read(by_connection[connection], connection))
        return events

    def _read(self, name: str, connection: Connection) -> Event:
        worker = self._workers[name]
        try:
            data = connection.recv_bytes()
        except (EOFError, OSError):
            return self._lost(name)
        if worker.greeted:
            return Answered(name, data)
        worker.greeted = True
        hello = decode(Hello, data)
        if hello.fault:
            del self._workers[name]
            return Unfit(name, hello.host, hello.fault)
        return Ready(name, hello.host)

    def _lost(self, name: str) -> Gone:
        worker = self._workers.pop(name)
        worker.connection.close()
        worker.process.join(timeout=5)
        code = worker.process.exitcode
        self._spawn(worker.place)
        reason = f"killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        return Gone(name, reason, blamed=True)

    def send(self, worker: str, name: str, order: bytes, model_key: str, model: bytes) -> None:
        process = self._workers[worker]
        try:
            process.connection.send_bytes(model_key.encode() + b"\n" + order)
            process.connection.send_bytes(b"" if process.model_key == model_key else model)
            process.model_key = model_key
        except OSError:
            return  # It died; the next poll reads that.

    @property
    def starting(self) -> int:
        return sum(not worker.greeted for worker in self._workers.values())

    def close(self) -> None:
        for worker in self._workers.values():
            worker.connection.close()
            worker.process.terminate()
        for worker in self._workers.values():
            worker.process.join(timeout=5)
            worker.process.kill()
        self._workers.clear()

    def _spawn(self, place: int) -> None:
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_serve,
            args=(theirs, dict(self._shares[place]), self._spec),
            name=f"selfedit worker {self._count}",
            daemon=True,
        )
        process.start()
        theirs.close()
        self._workers[f"process-{self._count}"] = _Process(process, ours, place)
        self._count += 1


def shares(workers: int | None, device: str | None) -> list[dict[str, str]]:
    """The environment of each worker: a GPU of its own, or cores. Without a number, one a GPU, or one for two cores."""
    import torch

    gpus = torch.cuda.device_count() if (device or "cuda") == "cuda" else 0
    if gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        names = visible if visible != [""] else list(map(str, range(gpus)))
        return [{"CUDA_VISIBLE_DEVICES": names[n % gpus]} for n in range(workers or gpus)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = workers or max(1, cores // 2)
    threads = max(1, cores // count)
    most = int(os.environ.get("OMP_NUM_THREADS", threads))
    return [{"OMP_NUM_THREADS": str(min(threads, most))} for _ in range(count)]


def _serve(connection: Connection, share: Mapping[str, str], spec: bytes) -> None:
    """What a worker's process runs: it says hello, then answers one order after another until the driver goes."""
    os.environ.update(share)  # Before torch is imported.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The driver's to heed.
    threading.Thread(target=_die_with_parent, daemon=True).start()
    hello, worker = open_worker(spec)
    if hello.lacks_base:
        hello = Hello(hello.host, hello.pid, "the base is not where it was")
    try:
        connection.send_bytes(encode(hello))
        while worker is not None:
            model_key, _, message = connection.recv_bytes().partition(b"\n")
            model = connection.recv_bytes()
            connection.send_bytes(worker.work(message, model_key.decode(), lambda data=model: data))  # type: ignore[misc]
    except (EOFError, OSError):
        return


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
