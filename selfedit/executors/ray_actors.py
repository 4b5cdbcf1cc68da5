"""Workers that are Ray Core actors: on this machine, or on all nodes of a cluster, which may come and go."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfedit.executors.fleet import Answered, Event, Fleet, Gone, Ready, Unfit
from selfedit.executors.ray_connect import connect
from selfedit.executors.wire import Spec, pack_spec
from selfedit.executors.worker import Hello, Worker, one_line, open_worker
from selfedit.files.serialize import decode, encode

_LOOK_S = 2.0
# A machine that goes may be noticed after its workers are.
_GRACE_S = 5.0
_PART_BYTES = 64 << 20
_SUFFIXES = (".safetensors", ".json", ".jinja", ".model", ".txt")


def ray_fleet(spec: Spec, base: Path, workers: int | None, name: str) -> RayFleet:
    """Workers on the cluster that RAY_ADDRESS names, or on this machine.

    Raises:
        UserError: there is no such cluster, or it is open to everybody.
    """
    cores = os.cpu_count() or 1
    started = connect(max(cores, workers or 1))
    share = max(1, cores // workers) if started and workers else 2
    return RayFleet(pack_spec(spec), base, share, workers, name, shut_down=started)


class SelfeditWorker:
    """The actor. Ray is given bytes and gives bytes back."""

    def __init__(self, spec: bytes) -> None:
        self._spec, self._worker = spec, None

    def hello(self, files: Sequence[tuple[str, Sequence[Any]]] | None = None) -> bytes:
        """Load the base, which may have been sent as references to parts of its files."""
        import ray

        def parts(references: Sequence[Any]) -> Callable[[], Iterable[bytes]]:
            return lambda: map(ray.get, references)

        sent = None if files is None else [(name, parts(references)) for name, references in files]
        hello, self._worker = open_worker(self._spec, sent)
        return encode(hello)

    _worker: Worker | None

    def work(self, message: bytes, model_key: str, model: Sequence[Any]) -> bytes:
        """Do an order; `model` is a reference that is only followed where the model is another than before."""
        import ray

        assert self._worker is not None
        return self._worker.work(message, model_key, lambda: ray.get(model[0]))


@dataclass
class _Actor:
    handle: Any
    node: str
    host: str
    greeted: bool = False


class RayFleet(Fleet):
    """As many workers a node as it has GPUs or, without, so many cores; nodes that come are used, too.

    Args:
        spec: what a worker is made of, packed.
        base: the folder of the base, for nodes that do not have it.
        cores: of one worker on a node without GPU.
        most: workers in all; None is as many as there is room for.
        name: of the run, which Ray's dashboard shows.
        shut_down: Ray itself, when all is done.
    """

    def __init__(
        self, spec: bytes, base: Path, cores: int, most: int | None, name: str, *, shut_down: bool = False
    ) -> None:
        import ray

        self._ray, self._spec, self._base, self._cores, self._most = ray, spec, base, cores, most
        self._name, self._count, self._looked, self._shut_down = name, 0, 0.0, shut_down
        self._worker: Any = ray.remote(SelfeditWorker)
        self._actors: dict[str, _Actor] = {}
        self._pending: dict[Any, str] = {}
        self._dying: dict[str, tuple[float, str]] = {}
        self._unfit: set[str] = set()
        self._model: tuple[str, Any] = ("", None)
        self._files: list[tuple[str, list[Any]]] | None = None
        self._ask_for_nodes()
        self._look()

    def poll(self, timeout: float) -> Sequence[Event]:
        if time.monotonic() - self._looked > _LOOK_S:
            self._look()
        events: list[Event] = self._lost()
        waiting = list(self._pending)
        if not waiting:
            time.sleep(0 if events else min(timeout, _LOOK_S / 4))
            return events
        first, rest = self._ray.wait(waiting, num_returns=1, timeout=0 if events else timeout)
        ready = first + (self._ray.wait(rest, num_returns=len(rest), timeout=0)[0] if first and rest else [])
        for reference in ready:
            event = self._read(self._pending.pop(reference), reference)
            events += [] if event is None else [event]
        return events

    def _read(self, name: str, reference: Any) -> Event | None:
        """What a reference that is ready says; None where more is to come."""
        actor = self._actors[name]
        try:
            data = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            if isinstance(error, self._ray.exceptions.RayTaskError) and not actor.greeted:
                return self._refuse(name, one_line(error.cause))
            self._dying[name] = (time.monotonic(), " ".join(str(error).split())[:300])
            return None
        if actor.greeted:
            return Answered(name, data)
        hello = decode(Hello, data)
        if hello.lacks_base:
            self._pending[actor.handle.hello.options(name="load the base").remote(self._sent_base())] = name
            return None
        if hello.fault:
            return self._refuse(name, hello.fault)
        actor.greeted = True
        return Ready(name, actor.host)

    def _refuse(self, name: str, fault: str) -> Unfit:
        actor = self._actors.pop(name)
        self._unfit.add(actor.node)
        self._ray.kill(actor.handle)
        return Unfit(name, actor.host, fault)

    def _lost(self) -> list[Event]:
        """Workers that died: with their node, or by themselves, which takes a moment to tell apart."""
        if not self._dying:
            return []
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        lost: list[Event] = []
        for name, (since, reason) in list(self._dying.items()):
            node_went = self._actors[name].node not in alive or "node has died" in reason
            if node_went or time.monotonic() - since > _GRACE_S:
                del self._dying[name]
                actor = self._actors.pop(name)
                lost.append(Gone(name, reason if not node_went else f"{actor.host} went", blamed=not node_went))
        return lost

    def send(self, worker: str, name: str, order: bytes, model_key: str, model: bytes) -> None:
        if self._model[0] != model_key:
            self._model = (model_key, self._ray.put(model))  # Ray takes it to each node once.
        handle = self._actors[worker].handle
        # Within a list, so that it is not fetched where the worker has it.
        reference = handle.work.options(name=name).remote(order, model_key, [self._model[1]])
        self._pending[reference] = worker

    @property
    def starting(self) -> int:
        return sum(not actor.greeted for actor in self._actors.values())

    def close(self) -> None:
        for actor in self._actors.values():
            self._ray.kill(actor.handle)
        self._actors.clear()
        self._pending.clear()
        if self._shut_down:
            self._ray.shutdown()

    def _ask_for_nodes(self) -> None:
        """Where Ray's autoscaler runs, it brings as many GPUs as workers are wanted; elsewhere it is not heard."""
        from ray.autoscaler.sdk import request_resources

        if self._most is not None and any(node["Resources"].get("GPU") for node in self._ray.nodes()):
            request_resources(bundles=[{"GPU": 1}] * self._most)

    def _look(self) -> None:
        """Start workers where nodes have room for them."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._looked = time.monotonic()
        alive = {node["NodeID"]: node for node in self._ray.nodes() if node["Alive"]}
        there: dict[str, int] = {}
        at_work = set(self._pending.values())
        for name, actor in self._actors.items():
            there[actor.node] = there.get(actor.node, 0) + 1
            if actor.node not in alive and name not in at_work:  # Of one at work, its answer says so.
                self._dying.setdefault(name, (self._looked, ""))
        for id, node in alive.items():
            if id in self._unfit:
                continue
            gpus, cpus = (int(node["Resources"].get(kind, 0)) for kind in ("GPU", "CPU"))
            cores = min(self._cores, cpus)
            room = gpus or (max(1, cpus // cores) if cores else 0)
            for _ in range(room - there.get(id, 0)):
                if self._most is not None and len(self._actors) >= self._most:
                    return
                host = f"{node['NodeManagerHostname']}/{id[:6]}"
                name = f"{host}/{self._count}"
                options = {"num_gpus": 1, "num_cpus": 0} if gpus else {"num_cpus": cores}
                strategy = NodeAffinitySchedulingStrategy(id, soft=False)
                title = f"{self._name} worker {self._count}"
                made = self._worker.options(name=title, scheduling_strategy=strategy, **options)
                handle = made.remote(self._spec)
                self._count += 1
                self._actors[name] = _Actor(handle, id, host)
                self._pending[handle.hello.options(name="load the base").remote()] = name

    def _sent_base(self) -> list[tuple[str, list[Any]]]:
        """The files of the base in Ray's object store, put there once; Ray takes them to each node that asks, once."""
        if self._files is None:
            paths = [path for path in sorted(self._base.iterdir()) if path.is_file() and path.suffix in _SUFFIXES]
            self._files = [(path.name, [self._ray.put(part) for part in _parts(path)]) for path in paths]
        return self._files


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(_PART_BYTES):
            yield part
