"""Where the search's work is done, by name: here, in processes of this machine, or on many machines.

All executors but the local one share the driver (`pool.py`), what is sent (`wire.py`) and what a worker does
(`worker.py`); they differ in how a chunk reaches a worker. A new one is one `Fleet` in a file of its own and one line
in `_FLEETS`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from selfedit.executors.identity import software
from selfedit.progress import Progress
from selfedit.settings import Composition

if TYPE_CHECKING:
    from selfedit.executors.fleet import Fleet
    from selfedit.executors.wire import Spec
    from selfedit.models.load import BaseModel
    from selfedit.search.executor import Executor


@dataclass(frozen=True)
class Setup:
    """What workers are made of.

    Attributes:
        device: as the user named it; None is a GPU, where there is one.
        workers: how many; None is as many as there is room for.
        chunk: adapters of one chunk.
        name: of the run, to be shown.
    """

    base: BaseModel
    composition: Composition
    device: str | None
    workers: int | None
    chunk: int
    name: str
    progress: Progress


def _processes(setup: Setup, spec: Spec) -> Fleet:
    from selfedit.executors.processes import ProcessFleet, shares
    from selfedit.executors.wire import pack_spec

    return ProcessFleet(pack_spec(spec), shares(setup.workers, spec.device))


def _ray(setup: Setup, spec: Spec) -> Fleet:
    from selfedit.executors.ray_actors import ray_fleet

    return ray_fleet(spec, setup.base.folder, setup.workers, setup.name)


_FLEETS: dict[str, Callable[[Setup, Spec], Fleet]] = {"processes": _processes, "ray": _ray}
EXECUTORS = ("local", *_FLEETS)


def check_executor(name: str) -> None:
    """What can be wrong with an executor and is seen without a model. Raises UserError."""
    if name == "ray":
        from selfedit.executors.ray_connect import check_ray

        check_ray()


def make_executor(name: str, setup: Setup) -> Executor | None:
    """One of `EXECUTORS`, with its workers; None for the local one, which the search makes of its own stages.

    Raises:
        UserError: workers cannot be had, or not all alike.
    """
    if name == "local":
        return None
    from selfedit.executors.pool import PoolExecutor
    from selfedit.executors.wire import pack_spec

    spec = spec_of(setup.base, setup.composition, setup.device)
    # Where a worker is does not change what comes of its work, but for float noise.
    identity = hashlib.sha256(pack_spec(replace(spec, device=None))).hexdigest()
    return PoolExecutor(_FLEETS[name](setup, spec), setup.progress, identity, setup.chunk)


def spec_of(base: BaseModel, composition: Composition, device: str | None) -> Spec:
    """What workers are made of that are to do as this process would."""
    from selfedit.executors.wire import Spec

    return Spec(
        model=base.name,
        fingerprint=base.fingerprint,
        dtype=str(base.dtype).removeprefix("torch."),
        device=device and device.partition(":")[0],
        base_bytes=base.model.get_memory_footprint(),
        software=software(),
        composition=composition,
    )
