"""What runs on a worker: a resident base with the stages of the run, doing one order after another."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from selfedit.errors import UserError
from selfedit.executors.identity import difference, software
from selfedit.executors.wire import (
    Answer,
    Asking,
    Order,
    Results,
    Spec,
    Training,
    Writing,
    unpack_message,
    unpack_model,
    unpack_order,
    unpack_spec,
)
from selfedit.files.serialize import encode
from selfedit.models.cache import MANIFEST, make_once
from selfedit.paths import models_cache
from selfedit.progress import QuietProgress
from selfedit.types import Model

if TYPE_CHECKING:
    from selfedit.models.load import BaseModel
    from selfedit.search.stages import Stages

_FILE_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
# A base in memory with the little that lies beside it before work begins.
_ROOM = 1.1

File = tuple[str, Callable[[], Iterable[bytes]]]
"""A file of a base: its name, and its parts when they are wanted."""


@dataclass(frozen=True)
class Hello:
    """What a worker says of itself: where it is, and why it cannot be used; or that it lacks the base."""

    host: str
    pid: int
    fault: str = ""
    lacks_base: bool = False


class Worker:
    """Holds the base, and the newest model that it was sent."""

    def __init__(self, stages: Stages) -> None:
        from selfedit.search.stages import local_executor

        self._stages = stages
        self._executor = local_executor(stages, QuietProgress())
        self._model_key = ""
        self._model: Model | None = None

    def work(self, message: bytes, model_key: str, model: Callable[[], bytes]) -> bytes:
        """Do an order on a model. Whatever goes wrong is the answer: nothing is raised.

        Args:
            model: packed; only asked for where the worker has not the one of that key.
        """
        started = time.monotonic()
        key, order = unpack_message(message)
        try:
            if model_key != self._model_key:
                self._model_key, self._model = model_key, unpack_model(model())
            assert self._model is not None
            results = encode(self._do(unpack_order(order), self._model)).decode()
            answer = Answer(key, results)
        except UserError as error:
            answer = Answer(key, failure=str(error), user=True)
        except Exception as error:
            answer = Answer(key, failure=one_line(error))
        return encode(replace(answer, seconds=time.monotonic() - started))

    def _do(self, order: Order, model: Model) -> Results:
        if isinstance(order, Training):
            return self._executor.run(order.jobs, model, "")
        if isinstance(order, Writing):
            edits = self._stages.policy.propose(order.tasks, order.count, order.seed, model)
            return tuple(edits)
        assert isinstance(order, Asking)
        return tuple(self._executor.ask(order.tasks, model, lambda: None, with_context=order.with_context))


def open_worker(spec: bytes, files: Iterable[File] | None = None) -> tuple[Hello, Worker | None]:
    """A worker, or why there is none. Nothing is raised.

    Args:
        files: of the base, for a machine that does not have it; None where they are not there yet.
    """
    hello = Hello(socket.gethostname(), os.getpid())
    try:
        made = unpack_spec(spec)
        if other := difference(made.software, software()):
            return replace(hello, fault=f"it has {other}; install the same there"), None
        folder = _folder(made, files)
        if folder is None:
            return replace(hello, lacks_base=True), None
        return hello, Worker(_stages(made, folder))
    except UserError as error:
        return replace(hello, fault=str(error)), None
    except Exception as error:
        return replace(hello, fault=one_line(error)), None


def _folder(spec: Spec, files: Iterable[File] | None) -> Path | None:
    """Where this machine has the base: by the driver's name for it, or as it was sent; None if nowhere."""
    from selfedit.models import fingerprint, resolve

    target = models_cache() / "sent" / spec.fingerprint
    if files is not None:
        return make_once(
            target,
            lambda scratch: _written(scratch, files, spec.fingerprint),
            needs_bytes=spec.base_bytes,
            progress=QuietProgress(),
        )
    try:
        cached = resolve(spec.model).cached()
    except UserError:  # The name means nothing here, as that of a folder on another disk.
        cached = None
    for folder in (cached, target):
        if folder is not None and folder.is_dir() and fingerprint(folder) == spec.fingerprint:
            return folder
    return None


def _written(scratch: Path, files: Iterable[File], wanted: str) -> Path:
    """The files of a base in a new folder, which has the hash that is wanted."""
    from selfedit.models import fingerprint

    folder = scratch / "model"
    folder.mkdir()
    for name, parts in files:
        if not _FILE_NAME.fullmatch(name):
            raise UserError(f"a file of the base is called {name!r}, which is not sent")
        with (folder / name).open("wb") as file:
            file.writelines(parts())
    if (found := fingerprint(folder)) != wanted:
        raise UserError(f"the base that was sent has the hash {found[:12]}, not {wanted[:12]}")
    (folder / MANIFEST).write_text("{}", encoding="utf-8")
    return folder


def _stages(spec: Spec, folder: Path) -> Stages:
    """The run's stages over the base."""
    from selfedit.compose import compose
    from selfedit.models.load import load

    _check_memory(spec)
    base: BaseModel = load(str(folder), device=spec.device, dtype=spec.dtype)
    if base.fingerprint != spec.fingerprint:
        raise UserError(f"its base {spec.model} has the hash {base.fingerprint[:12]}, not {spec.fingerprint[:12]}")
    return compose(replace(base, name=spec.model), spec.composition, lambda _: None)


def _check_memory(spec: Spec) -> None:
    import psutil
    import torch

    from selfedit.models.load import default_device

    on_gpu = (spec.device or default_device().type) == "cuda"
    free = torch.cuda.mem_get_info()[0] if on_gpu else psutil.virtual_memory().available
    if free < _ROOM * spec.base_bytes:
        raise UserError(
            f"it has {free / 1e9:.1f} GB of {'GPU memory' if on_gpu else 'memory'} free, and the base takes "
            f"{_ROOM * spec.base_bytes / 1e9:.1f} GB; take it out, or use a smaller base"
        )


def one_line(error: Exception) -> str:
    """An error as one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500]
